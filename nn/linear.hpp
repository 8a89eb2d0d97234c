#pragma once
#include <cstdint>

#include "autograd/ops.hpp"
#include "nn/init.hpp"
#include "nn/module.hpp"

namespace folio {

/// y = x·Wᵀ: (…, in) → (…, out), without a bias unless asked.
class Linear : public Module {
 public:
  /// Where it stands: between hidden layers, or at the end, giving logits.
  enum class Place : std::uint8_t { hidden, head };

  Linear(std::int64_t in, std::int64_t out, Generator& generator, Options options = {}, double std = 0.02,
         bool with_bias = false, Place place = Place::hidden) {
    const Tensor drawn = normal({out, in}, generator, std, options);
    weight = place == Place::hidden ? add_matrix("weight", drawn) : add_weight("weight", drawn);
    if (with_bias) bias = add_parameter("bias", zeros({out}, options), false);
  }

  Tensor operator()(const Tensor& x) const {
    const Tensor y = linear(x, weight);
    return bias.defined() ? y + bias : y;
  }

  Tensor weight;  ///< (out, in)
  Tensor bias;    ///< (out), or undefined
};

}  // namespace folio
