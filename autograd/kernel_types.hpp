#pragma once
// Plain parameters that ops hand to kernels.
#include <cstdint>

namespace folio {

/// How rotary embedding pairs the channels of a head of width R: (2i, 2i+1), or (i, i + R/2).
enum class RopePairs : std::uint8_t { interleaved, rotate_half };

/// Folds of a reduction along one dimension.
enum class Extreme : std::uint8_t { max, min };

/// One step of AdamW; corrections are 1 − βᵗ.
struct AdamWStep {
  double lr, beta1, beta2, eps, weight_decay, correction1, correction2, gradient_factor;
};

/// One step of SGD with momentum.
struct SGDStep {
  double lr, momentum;
  bool nesterov;
  double weight_decay, gradient_factor;
};

}  // namespace folio
