// y = 1/(1 + e^−x)      dx = dy·y·(1 − y)
#include "autograd/cpu/elementwise.hpp"
#include "autograd/ops/op.hpp"

namespace folio {

void cpu::sigmoid(const Tensor& x, Tensor& y) {
  map_floats(
      y, [](const auto& x) { return 1 / (1 + (-x).exp()); }, x);
}

void cpu::sigmoid_backward(const Tensor& dy, const Tensor& y, Tensor& dx) {
  map_floats(
      dx, [](const auto& dy, const auto& y) { return dy * y * (1 - y); }, dy, y);
}

Tensor sigmoid(const Tensor& x) {
  require_float(x, "sigmoid");
  Tensor y = empty_like(x);
  kernel::sigmoid(x, y);
  return record({.op = op::sigmoid,
                 .inputs = {x},
                 .outputs = {y},
                 .saved = {y},
                 .backward = [](const Entry& e, const Tensors& dy) -> Tensors {
                   Tensor dx = empty_like(dy[0]);
                   kernel::sigmoid_backward(dy[0], e.saved(0), dx);
                   return {dx};
                 }});
}

}  // namespace folio
