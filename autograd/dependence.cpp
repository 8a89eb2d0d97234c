#include "autograd/dependence.hpp"

#include <algorithm>
#include <set>

namespace folio::detail {

std::string nothing_to_differentiate(const Tape& tape, const Tensors& leaves, const Tensors& outputs) {
  std::set<const GradientSlot*> reached;
  for (const Tensor& leaf : leaves) {
    if (leaf.numel() > 0) reached.insert(leaf.slot().get());
  }
  if (reached.empty())
    return "no float64 input has an element, so there is no gradient to check: give one that is not empty";
  for (const Entry& entry : tape.entries()) {
    const auto reads = [&](const auto& slot) { return reached.contains(slot.get()); };
    if (!std::ranges::any_of(entry.inputs, reads)) continue;
    for (const auto& slot : entry.outputs) {
      if (slot) reached.insert(slot.get());
    }
  }
  std::string got;
  for (const Tensor& y : outputs) {
    if (is_float(y.dtype()) && y.numel() > 0 && reached.contains(y.slot().get())) return "";
    got += (got.empty() ? "" : ", ") + describe(y);
  }
  return "no float output of f depends on an input through recorded ops, so there is no gradient to check: return one "
         "that does (got " +
         (got.empty() ? "no output" : got) + ")";
}

}  // namespace folio::detail
