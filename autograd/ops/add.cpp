// y = a + b      da = dy,  db = dy, summed over what was broadcast
#include "autograd/cpu/elementwise.hpp"
#include "autograd/ops/op.hpp"

namespace folio {

void cpu::add(const Tensor& a, const Tensor& b, Tensor& y) {
  map_floats(
      y, [](const auto& a, const auto& b) { return a + b; }, a, b);
}

Tensor add(const Tensor& a, const Tensor& b) {
  require_same_float(a, b, "add");
  Tensor y = empty(broadcast_shapes(a.shape(), b.shape(), "add"), a.options());
  kernel::add(a, b, y);
  return record({.op = op::add,
                 .inputs = {a, b},
                 .outputs = {y},
                 .saved = {},
                 .backward = [](const Entry& e, const Tensors& dy) -> Tensors {
                   return {e.needs(0) ? unbroadcast(dy[0], e.input_shape(0)) : Tensor(),
                           e.needs(1) ? unbroadcast(dy[0], e.input_shape(1)) : Tensor()};
                 }});
}

}  // namespace folio
