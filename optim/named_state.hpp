#pragma once
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "autograd/tensor.hpp"

namespace folio::optim {

/// Copies the values of `state` into `mine`, by name. An Error of `who`, which changes nothing, if a name is missing or
/// extra, a shape differs, or integers are given.
void load_named(const char* who, const std::vector<std::pair<std::string, Tensor>>& mine,
                const std::map<std::string, Tensor>& state);

}  // namespace folio::optim
