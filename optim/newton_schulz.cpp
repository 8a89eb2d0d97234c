#include "optim/newton_schulz.hpp"

#include <cmath>

#include "autograd/kernels.hpp"
#include "autograd/ops.hpp"
#include "autograd/tape.hpp"
#include "optim/check.hpp"

namespace folio::optim {
namespace {

constexpr double a = 3.4445, b = -4.7750, c = 2.0315, least_norm = 1e-7;

/// x / (‖x‖ + 1e-7) · factor, matrix by matrix.
Tensor normalized(const Tensor& x, double factor) {
  Tensors matrices;
  for (std::int64_t i = 0; i < x.dim(0); ++i) matrices.push_back(x.slice(0, i, i + 1));
  Tensor squares = empty({x.dim(0)}, {DType::float64, x.device()});
  kernel::squared_norms(matrices, squares);
  const Tensor norms = scale(sqrt(squares), 1 / factor, least_norm / factor);
  return divide(x, norms.to(x.dtype()).reshape({x.dim(0), 1, 1}));
}

void add_to_diagonals(Tensor& x, double value) {
  const std::int64_t n = x.dim(-1);
  Tensor diagonals(x.storage(), x.offset(), {x.dim(0), n}, {n * n, n + 1}, x.dtype());
  kernel::scale(diagonals, 1, value, diagonals);
}

}  // namespace

Tensor orthogonalized(const Tensor& x, std::int64_t iterations, DType products) {
  require(x.rank() == 3 && is_float(x.dtype()) && !is_half(x.dtype()),
          [&] { return "orthogonalized: needs float32 or float64 (N, rows, columns), got " + describe(x); });
  require(is_half(products) || products == x.dtype(), [&] {
    return std::string("orthogonalized: products in ") + name_of(products) + " of " + describe(x) +
           ": 16-bit floats or its own dtype";
  });
  check(iterations >= 1, "orthogonalized", "iterations", static_cast<double>(iterations), "at least 1");
  const NoRecording pause;
  if (x.numel() == 0) return x;
  // With Z = σX, σ⁴ = c, and A = ZZᵀ an iteration is Z ← (A² + b'A + a)Z with b' = b/√c, and the square completed:
  // Z ← ((A + b'/2)² + a − b'²/4)Z, so that besides three products only diagonals are touched.
  const double sigma = std::pow(c, 0.25), shift = b / std::sqrt(c) / 2;
  const bool tall = x.dim(1) > x.dim(2);  // then ZᵀZ is the smaller
  Tensor z = normalized(x, sigma).to(products);
  for (std::int64_t i = 1; i <= iterations; ++i) {
    const Tensor turned = z.transpose(-1, -2);
    Tensor gram = tall ? matmul(turned, z) : matmul(z, turned);  // (N, s, s)
    add_to_diagonals(gram, shift);
    Tensor polynomial = matmul(gram, gram);
    add_to_diagonals(polynomial, a - shift * shift);
    const bool last = i == iterations;
    if (last) kernel::scale(polynomial, 1 / sigma, 0, polynomial);
    Tensor next = empty(z.shape(), {last ? x.dtype() : products, x.device()});
    kernel::matmul(tall ? z : polynomial, tall ? polynomial : z, false, next);
    z = next;
  }
  return z;
}

}  // namespace folio::optim
