#include "tests/autograd/properties/property.hpp"

#include <algorithm>

namespace folio::testing {

const std::vector<Property>& all_properties() {
  static const std::vector<Property> properties = {
#define X(name) property_##name(),
      FOLIO_PROPERTIES(X)
#undef X
  };
  return properties;
}

Outcome attempt(const Property& property, const OpCase& c, std::uint64_t seed, std::int64_t size) {
  Outcome o;
  std::string description = "no draw";
  try {
    Trial trial(c, seed, std::min(size, property.largest));
    description = trial.problem.description;
    o.broadcast = trial.problem.broadcast;
    o.masked = trial.problem.masked;
    for (const Tensor& x : trial.problem.inputs) {
      if (!x.defined()) continue;
      o.elements = std::max(o.elements, x.numel());
      o.empty = o.empty || x.numel() == 0;
    }
    if (trial.size > most_of_small_draws) {
      const NoRecording pause;
      for (const Tensor& y : trial.problem.f(trial.problem.inputs)) o.elements = std::max(o.elements, y.numel());
    }
    const auto entries = live_entries();
    property.check(trial);
    if (live_entries() != entries) throw Refuted("entries stayed alive after their tapes were gone");
    o.checked = trial.checked;
    o.discarded = trial.discarded;
    o.strided = trial.strided;
    o.own_entry = trial.own_entry;
    o.exempt = trial.exempt;
  } catch (const std::exception& e) {
    o.held = false;
    o.message = std::string(c.op) + " " + description + " (seed " + std::to_string(seed) + ", size " +
                std::to_string(size) + "): " + property.claim + " is not so: " + e.what();
  }
  return o;
}

}  // namespace folio::testing
