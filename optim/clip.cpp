#include "optim/clip.hpp"

#include <cmath>

#include "autograd/kernels.hpp"

namespace folio::optim {

Clipped clip_by_global_norm(const std::vector<Parameter>& parameters, double max_norm) {
  double total = 0;
  for (const Parameter& p : parameters) {
    const Tensor gradient = p.value.grad();
    if (!gradient.defined()) continue;
    Tensor squares = empty({}, {DType::float64, gradient.device()});
    kernel::squared_norm(gradient, squares);
    total += squares.item();
  }
  const double norm = std::sqrt(total);
  return {norm, norm > max_norm ? max_norm / norm : 1};
}

}  // namespace folio::optim
