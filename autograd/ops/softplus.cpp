// y = log(1 + e^x) = max(x, 0) + log(1 + e^−|x|)      dx = dy·σ(x)
#include "autograd/cpu/elementwise.hpp"
#include "autograd/ops/op.hpp"

namespace folio {

void cpu::softplus(const Tensor& x, Tensor& y) {
  map_floats(
      y, [](const auto& x) { return x.max(0) + (-x.abs()).exp().log1p(); }, x);
}

void cpu::softplus_backward(const Tensor& dy, const Tensor& x, Tensor& dx) {
  map_floats(
      dx, [](const auto& dy, const auto& x) { return dy / (1 + (-x).exp()); }, dy, x);
}

Tensor softplus(const Tensor& x) {
  require_float(x, "softplus");
  Tensor y = empty_like(x);
  kernel::softplus(x, y);
  return record({.op = op::softplus,
                 .inputs = {x},
                 .outputs = {y},
                 .saved = {x},
                 .backward = [](const Entry& e, const Tensors& dy) -> Tensors {
                   Tensor dx = empty_like(dy[0]);
                   kernel::softplus_backward(dy[0], e.saved(0), dx);
                   return {dx};
                 }});
}

}  // namespace folio
