#pragma once
// Plain parameters that ops hand to kernels.
#include <cstdint>
#include <vector>

namespace folio {

/// How rotary embedding pairs the channels of a head of width R: (2i, 2i+1), or (i, i + R/2).
enum class RopePairs : std::uint8_t { interleaved, rotate_half };

/// Folds of a reduction along one dimension.
enum class Extreme : std::uint8_t { max, min };

/// One step of AdamW; corrections are 1 − βᵗ, and each tensor has a weight decay of its own.
struct AdamWStep {
  double lr, beta1, beta2, eps, correction1, correction2;
  std::vector<double> weight_decay;
};

/// One step of SGD with momentum, likewise.
struct SGDStep {
  double lr, momentum;
  bool nesterov;
  std::vector<double> weight_decay;
};

}  // namespace folio
