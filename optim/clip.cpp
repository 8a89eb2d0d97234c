#include "optim/clip.hpp"

#include <cmath>
#include <limits>

#include "autograd/kernels.hpp"
#include "autograd/ops.hpp"
#include "optim/check.hpp"

namespace folio::optim {
namespace {

/// Σ x² of each (N) float64.
Tensor squared_norms(const Tensors& xs, Device device) {
  Tensor squares = empty({std::ssize(xs)}, {DType::float64, device});
  kernel::squared_norms(xs, squares);
  return squares;
}

Device device_of(const Parameters& parameters) {
  return parameters.empty() ? Device::cpu : parameters[0].value.device();
}

}  // namespace

Clipped::Clipped(const Tensor& squares, std::vector<std::string> names, double max_norm, double scale)
    : names_(std::move(names)) {
  Tensor figures = empty({3}, squares.options());
  kernel::clip_factor(squares, max_norm, scale, figures);
  factor_there_ = figures.slice(0, 1, 2).reshape({});
  copy_ = HostCopy(figures);
}

std::string Clipped::not_finite() const {
  const double place = copy_.values()[2];
  return place < 0 ? std::string() : names_[static_cast<std::size_t>(place)];
}

Clipped clip_by_global_norm(const Parameters& parameters, double max_norm, double scale) {
  check(max_norm > 0, "clip_by_global_norm", "max_norm", max_norm, "above 0");
  check(std::isfinite(scale) && scale > 0, "clip_by_global_norm", "scale", scale, "finite and above 0");
  Tensors gradients;
  std::vector<std::string> names;
  for (const Parameter& p : parameters) {
    const Tensor gradient = p.value.grad();
    if (!gradient.defined()) continue;
    gradients.push_back(gradient);
    names.push_back(p.name);
  }
  return {squared_norms(gradients, device_of(parameters)), std::move(names), max_norm, scale};
}

std::string first_not_finite(const Parameters& parameters) {
  Tensors values;
  std::vector<std::string> names;
  for (const Parameter& p : parameters) {
    values.push_back(p.value);
    names.push_back(p.name);
  }
  const Tensor squares = squared_norms(values, device_of(parameters));
  return Clipped(squares, std::move(names), std::numeric_limits<double>::infinity(), 1).not_finite();
}

}  // namespace folio::optim
