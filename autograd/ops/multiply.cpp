// y = a·b      da = dy·b,  db = dy·a, summed over what was broadcast
#include "autograd/cpu/elementwise.hpp"
#include "autograd/ops/op.hpp"

namespace folio {

void cpu::multiply(const Tensor& a, const Tensor& b, Tensor& y) {
  map_floats(
      y, [](const auto& a, const auto& b) { return a * b; }, a, b);
}

Tensor multiply(const Tensor& a, const Tensor& b) {
  require_same_float(a, b, "multiply");
  Tensor y = empty(broadcast_shapes(a.shape(), b.shape(), "multiply"), a.options());
  kernel::multiply(a, b, y);
  return record({.op = op::multiply,
                 .inputs = {a, b},
                 .outputs = {y},
                 .saved = {b.requires_grad() ? a : Tensor(), a.requires_grad() ? b : Tensor()},
                 .backward = [](const Entry& e, const Tensors& dy) -> Tensors {
                   return {e.needs(0) ? unbroadcast(multiply(dy[0], e.saved(1)), e.input_shape(0)) : Tensor(),
                           e.needs(1) ? unbroadcast(multiply(dy[0], e.saved(0)), e.input_shape(1)) : Tensor()};
                 }});
}

}  // namespace folio
