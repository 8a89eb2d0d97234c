#pragma once
#include <string>
#include <vector>

#include "autograd/tensor.hpp"

namespace folio {

/// A named leaf that is trained: what modules expose and optimizers change in place.
struct Parameter {
  std::string name;  ///< dotted path from the model's root, such as "layers.0.attention.kv_a.weight"
  Tensor value;
  bool decays = true;  ///< whether weight decay applies: false for norms and embeddings
};

using Parameters = std::vector<Parameter>;

}  // namespace folio
