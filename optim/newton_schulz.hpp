#pragma once
#include <cstdint>

#include "autograd/tensor.hpp"

namespace folio::optim {

/// Each matrix of x (N, rows, columns), float32 or float64, brought near the orthogonal matrix next to it: of its singular
/// value decomposition U·S·Vᵀ comes U·S'·Vᵀ, with S' between about 0.7 and 1.2 where S is not far below its largest, and 0
/// where S is. (Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks": `iterations` ≥ 1 of
///   X ← aX + b(XXᵀ)X + c(XXᵀ)²X,  (a, b, c) = (3.4445, −4.7750, 2.0315),  from X = x/(‖x‖ + 1e-7).)
/// Matrices are multiplied in `products`, 16-bit floats or x's own dtype. Nothing is recorded.
Tensor orthogonalized(const Tensor& x, std::int64_t iterations, DType products);

}  // namespace folio::optim
