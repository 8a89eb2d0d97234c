#include "optim/clip.hpp"

#include <cmath>
#include <limits>

#include "autograd/kernels.hpp"
#include "optim/check.hpp"

namespace folio::optim {
namespace {

double squared_norm(const Tensor& x) {
  Tensor squares = empty({}, {DType::float64, x.device()});
  kernel::squared_norm(x, squares);
  return squares.item();
}

}  // namespace

Clipped clip_by_global_norm(const Parameters& parameters, double max_norm, double scale) {
  check(max_norm > 0, "clip_by_global_norm", "max_norm", max_norm, "above 0");
  check(std::isfinite(scale) && scale > 0, "clip_by_global_norm", "scale", scale, "finite and above 0");
  Clipped clipped;
  double total = 0;
  for (const Parameter& p : parameters) {
    const Tensor gradient = p.value.grad();
    if (!gradient.defined()) continue;
    const double square = squared_norm(gradient);
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

std::string first_not_finite(const Parameters& parameters) {
  for (const Parameter& p : parameters) {
    if (!std::isfinite(squared_norm(p.value))) return p.name;
  }
  return {};
}

}  // namespace folio::optim
