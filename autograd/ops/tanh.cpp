// y = tanh x      dx = dy·(1 − y²)
#include "autograd/cpu/elementwise.hpp"
#include "autograd/ops/op.hpp"

namespace folio {

void cpu::tanh(const Tensor& x, Tensor& y) {
  map_floats(
      y, [](const auto& x) { return x.tanh(); }, x);
}

void cpu::tanh_backward(const Tensor& dy, const Tensor& y, Tensor& dx) {
  map_floats(
      dx, [](const auto& dy, const auto& y) { return dy * (1 - y.square()); }, dy, y);
}

Tensor tanh(const Tensor& x) {
  require_float(x, "tanh");
  Tensor y = empty_like(x);
  kernel::tanh(x, y);
  return record({.op = op::tanh,
                 .inputs = {x},
                 .outputs = {y},
                 .saved = {y},
                 .backward = [](const Entry& e, const Tensors& dy) -> Tensors {
                   Tensor dx = empty_like(dy[0]);
                   kernel::tanh_backward(dy[0], e.saved(0), dx);
                   return {dx};
                 }});
}

}  // namespace folio
