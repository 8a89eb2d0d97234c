#include <map>
#include <sstream>

#include "autograd/tape.hpp"

namespace folio {
namespace {

std::string escaped(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

}  // namespace

std::string to_dot(const Tape& tape) {
  std::ostringstream out;
  std::map<const GradientSlot*, std::string> producer;
  out << "digraph tape {\n  rankdir=TB;\n  node [shape=box, style=rounded, fontname=\"sans-serif\"];\n";
  for (std::size_t e = 0; e < tape.entries().size(); ++e) {
    const Entry& entry = tape.entries()[e];
    const std::string name = "op" + std::to_string(e);
    out << "  " << name << " [label=\"" << escaped(entry.op.text);
    for (const auto& slot : entry.outputs) {
      if (slot) out << "\\n" << name_of(slot->options.dtype) << ' ' << to_string(slot->shape);
    }
    if (entry.saved_count() > 0) out << "\\nsaved " << entry.saved_count();
    out << "\"];\n";
    for (std::size_t i = 0; i < entry.inputs.size(); ++i) {
      const GradientSlot* slot = entry.inputs[i].get();
      if (slot == nullptr) continue;
      auto found = producer.find(slot);
      if (found == producer.end()) {
        found = producer.emplace(slot, "leaf" + std::to_string(producer.size())).first;
        out << "  " << found->second << " [shape=ellipse, label=\"leaf\\n" << to_string(slot->shape) << "\"];\n";
      }
      out << "  " << found->second << " -> " << name << " [label=\"" << to_string(entry.input_shape(i)) << "\"];\n";
    }
    for (const auto& slot : entry.outputs) {
      if (slot) producer[slot.get()] = name;
    }
  }
  out << "}\n";
  return out.str();
}

}  // namespace folio
