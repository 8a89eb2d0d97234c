// y = log x      dx = dy/x
#include "autograd/cpu/elementwise.hpp"
#include "autograd/ops/op.hpp"

namespace folio {

void cpu::log(const Tensor& x, Tensor& y) {
  map_floats(
      y, [](const auto& x) { return x.log(); }, x);
}

Tensor log(const Tensor& x) {
  require_float(x, "log");
  Tensor y = empty_like(x);
  kernel::log(x, y);
  return record({.op = op::log,
                 .inputs = {x},
                 .outputs = {y},
                 .saved = {x},
                 .backward = [](const Entry& e, const Tensors& dy) -> Tensors { return {divide(dy[0], e.saved(0))}; }});
}

}  // namespace folio
