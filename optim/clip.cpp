#include "optim/clip.hpp"

#include <cmath>
#include <limits>

#include "autograd/kernels.hpp"
#include "optim/check.hpp"

namespace folio::optim {

Clipped clip_by_global_norm(const Parameters& parameters, double max_norm, double scale) {
  check(max_norm > 0, "clip_by_global_norm", "max_norm", max_norm, "above 0");
  check(std::isfinite(scale) && scale > 0, "clip_by_global_norm", "scale", scale, "finite and above 0");
  Clipped clipped;
  double total = 0;
  for (const Parameter& p : parameters) {
    const Tensor gradient = p.value.grad();
    if (!gradient.defined()) continue;
    Tensor squares = empty({}, {DType::float64, gradient.device()});
    kernel::squared_norm(gradient, squares);
    const double square = squares.item();
    if (!std::isfinite(square) && clipped.not_finite.empty()) clipped.not_finite = p.name;
    total += square;
  }
  clipped.norm = std::sqrt(total) / scale;
  clipped.factor = 1 / scale;
  if (!std::isfinite(clipped.norm)) {
    clipped.factor = std::numeric_limits<double>::quiet_NaN();
  } else if (clipped.norm > max_norm) {
    clipped.factor = max_norm / clipped.norm / scale;
  }
  return clipped;
}

}  // namespace folio::optim
