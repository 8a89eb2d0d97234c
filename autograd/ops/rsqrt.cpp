// y = 1/√x      dx = −½·dy·y³
#include "autograd/cpu/elementwise.hpp"
#include "autograd/ops/op.hpp"

namespace folio {

void cpu::rsqrt(const Tensor& x, Tensor& y) {
  map_floats(
      y, [](const auto& x) { return x.rsqrt(); }, x);
}

void cpu::rsqrt_backward(const Tensor& dy, const Tensor& y, Tensor& dx) {
  map_floats(
      dx, [](const auto& dy, const auto& y) { return dy * y.cube() / -2; }, dy, y);
}

Tensor rsqrt(const Tensor& x) {
  require_float(x, "rsqrt");
  Tensor y = empty_like(x);
  kernel::rsqrt(x, y);
  return record({.op = op::rsqrt,
                 .inputs = {x},
                 .outputs = {y},
                 .saved = {y},
                 .backward = [](const Entry& e, const Tensors& dy) -> Tensors {
                   Tensor dx = empty_like(dy[0]);
                   kernel::rsqrt_backward(dy[0], e.saved(0), dx);
                   return {dx};
                 }});
}

}  // namespace folio
