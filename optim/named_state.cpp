#include "optim/named_state.hpp"

#include <set>

namespace folio::optim {

void load_named(const char* who, const std::vector<std::pair<std::string, Tensor>>& mine,
                const std::map<std::string, Tensor>& state) {
  const std::string where = who;
  std::set<std::string> known;
  for (const auto& [name, value] : mine) {
    known.insert(name);
    const auto given = state.find(name);
    require(given != state.end(), [&, &name = name] { return where + ": the state to load lacks '" + name + "'"; });
    const Tensor& x = given->second;
    require(x.defined() && x.shape() == value.shape() && is_float(x.dtype()), [&, &name = name, &value = value] {
      return where + ": '" + name + "' is " + describe(value) + ", the state to load has " +
             (x.defined() ? describe(x) : "nothing");
    });
  }
  for (const auto& [name, value] : state) {
    require(known.contains(name),
            [&, &name = name] { return where + ": the state to load has an unknown '" + name + "'"; });
  }
  std::vector<std::pair<Tensor, Tensor>> pairs;
  pairs.reserve(mine.size());
  for (const auto& [name, value] : mine) pairs.emplace_back(value, state.at(name));
  copy_all(std::move(pairs));
}

}  // namespace folio::optim
