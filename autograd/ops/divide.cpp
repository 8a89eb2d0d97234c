// y = a / b      da = dy/b,  db = −dy·y/b, summed over what was broadcast
#include "autograd/cpu/elementwise.hpp"
#include "autograd/ops/op.hpp"

namespace folio {

void cpu::divide(const Tensor& a, const Tensor& b, Tensor& y) {
  map_floats(
      y, [](const auto& a, const auto& b) { return a / b; }, a, b);
}

void cpu::divide_backward(const Tensor& dy, const Tensor& y, const Tensor& b, Tensor& db) {
  map_floats(
      db, [](const auto& dy, const auto& y, const auto& b) { return -dy * y / b; }, dy, y, b);
}

Tensor divide(const Tensor& a, const Tensor& b) {
  require_same_float(a, b, "divide");
  Tensor y = empty(broadcast_shapes(a.shape(), b.shape(), "divide"), a.options());
  kernel::divide(a, b, y);
  return record({.op = op::divide,
                 .inputs = {a, b},
                 .outputs = {y},
                 .saved = {y, b},
                 .backward = [](const Entry& e, const Tensors& dy) -> Tensors {
                   Tensor da, db;
                   if (e.needs(0)) da = unbroadcast(divide(dy[0], e.saved(1)), e.input_shape(0));
                   if (e.needs(1)) {
                     Tensor full = empty_like(dy[0]);
                     kernel::divide_backward(dy[0], e.saved(0), e.saved(1), full);
                     db = unbroadcast(full, e.input_shape(1));
                   }
                   return {da, db};
                 }});
}

}  // namespace folio
