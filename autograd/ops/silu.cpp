// y = x·σ,  σ = 1/(1 + e^−x)      dx = dy·σ·(1 + x·(1 − σ))
#include "autograd/cpu/elementwise.hpp"
#include "autograd/ops/op.hpp"

namespace folio {

void cpu::silu(const Tensor& x, Tensor& y) {
  map_floats(
      y, [](const auto& x) { return x / (1 + (-x).exp()); }, x);
}

void cpu::silu_backward(const Tensor& dy, const Tensor& x, Tensor& dx) {
  visit_compute(dx.dtype(), [&](auto tag) {
    using T = decltype(tag);
    map_elements<T>(
        dx,
        [](const auto& dy, const auto& x) {
          const Eigen::Array<T, Eigen::Dynamic, 1> sigma = 1 / (1 + (-x).exp());
          return (dy * sigma * (1 + x * (1 - sigma))).eval();
        },
        dy, x);
  });
}

Tensor silu(const Tensor& x) {
  require_float(x, "silu");
  Tensor y = empty_like(x);
  kernel::silu(x, y);
  return record({.op = op::silu,
                 .inputs = {x},
                 .outputs = {y},
                 .saved = {x},
                 .backward = [](const Entry& e, const Tensors& dy) -> Tensors {
                   Tensor dx = empty_like(dy[0]);
                   kernel::silu_backward(dy[0], e.saved(0), dx);
                   return {dx};
                 }});
}

}  // namespace folio
