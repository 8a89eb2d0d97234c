#include "optim/check.hpp"

#include <map>
#include <set>

namespace folio::optim {

void check_apart(const Parameters& parameters, const char* where) {
  const std::string who = std::string(where) + ": ";
  std::set<std::string> names;
  std::map<const Storage*, std::string> memory;
  for (const Parameter& p : parameters) {
    require(!is_half(p.value.dtype()), [&] {
      return who + "parameter '" + p.name + "' is " + describe(p.value) +
             ", in which small updates round away: keep it in float32, which ops take beside 16-bit activations";
    });
    require(names.insert(p.name).second, [&] { return who + "two parameters are called '" + p.name + "'"; });
    const auto owner = memory.emplace(p.value.storage().get(), p.name);
    require(owner.second, [&] {
      return who + "parameters '" + owner.first->second + "' and '" + p.name + "' share their memory; give it once";
    });
  }
}

}  // namespace folio::optim
