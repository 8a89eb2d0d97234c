#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "autograd/tensor.hpp"

namespace folio {

/// A named leaf that is trained: what modules expose and optimizers change in place.
struct Parameter {
  std::string name;  ///< dotted path from the model's root, such as "layers.0.attention.kv_a.weight"
  Tensor value;
  bool decays = true;  ///< whether weight decay applies: false for norms and embeddings
  /// Rows of each of the matrices between hidden layers that the value stacks, (…, rows, in): what optim::Muon
  /// orthogonalises. 0 for all else: embeddings, heads, routers, vectors.
  std::int64_t matrix_rows = 0;
  /// Whether ops read it in 16 bits where activations are: factors of matrix products and tables of embeddings. The
  /// weights of norms and routers, and biases, stay float32.
  bool in_halves = false;
};

using Parameters = std::vector<Parameter>;

}  // namespace folio
