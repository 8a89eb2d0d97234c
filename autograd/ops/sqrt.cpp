// y = √x      dx = dy/(2y)
#include <cmath>

#include "autograd/cpu/elementwise.hpp"
#include "autograd/ops/op.hpp"

namespace folio {

void cpu::sqrt(const Tensor& x, Tensor& y) {
  // Eigen's packets make √∞ a NaN and drop denormals; the processor's own instruction is exact.
  visit_compute(y.dtype(), [&](auto tag) {
    using T = decltype(tag);
    map_elements<T>(
        y, [](const auto& x) { return x.unaryExpr([](T value) { return std::sqrt(value); }); }, x);
  });
}

void cpu::sqrt_backward(const Tensor& dy, const Tensor& y, Tensor& dx) {
  map_floats(
      dx, [](const auto& dy, const auto& y) { return dy / (2 * y); }, dy, y);
}

Tensor sqrt(const Tensor& x) {
  require_float(x, "sqrt");
  Tensor y = empty_like(x);
  kernel::sqrt(x, y);
  return record({.op = op::sqrt,
                 .inputs = {x},
                 .outputs = {y},
                 .saved = {y},
                 .backward = [](const Entry& e, const Tensors& dy) -> Tensors {
                   Tensor dx = empty_like(dy[0]);
                   kernel::sqrt_backward(dy[0], e.saved(0), dx);
                   return {dx};
                 }});
}

}  // namespace folio
