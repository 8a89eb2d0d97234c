// y = e^x      dx = dy·y
#include "autograd/cpu/elementwise.hpp"
#include "autograd/ops/op.hpp"

namespace folio {

void cpu::exp(const Tensor& x, Tensor& y) {
  map_floats(
      y, [](const auto& x) { return x.exp(); }, x);
}

Tensor exp(const Tensor& x) {
  require_float(x, "exp");
  Tensor y = empty_like(x);
  kernel::exp(x, y);
  return record(
      {.op = op::exp,
       .inputs = {x},
       .outputs = {y},
       .saved = {y},
       .backward = [](const Entry& e, const Tensors& dy) -> Tensors { return {multiply(dy[0], e.saved(0))}; }});
}

}  // namespace folio
