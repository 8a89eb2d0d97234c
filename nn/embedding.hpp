#pragma once
#include "autograd/ops.hpp"
#include "nn/init.hpp"
#include "nn/module.hpp"

namespace folio {

/// Rows of a table: ids (…) → (…, width). The table does not decay.
class Embedding : public Module {
 public:
  Embedding(std::int64_t count, std::int64_t width, Generator& generator, Options options = {}, double std = 0.02)
      : weight(add_weight("weight", normal({count, width}, generator, std, options), false)) {}

  Tensor operator()(const Tensor& ids) const { return embedding(weight, ids); }

  Tensor weight;  ///< (count, width)
};

}  // namespace folio
