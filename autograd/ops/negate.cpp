// y = −x      dx = −dy
#include "autograd/ops/op.hpp"

namespace folio {

Tensor negate(const Tensor& x) {
  require_float(x, "negate");
  Tensor y = empty_like(x);
  kernel::scale(x, -1, 0, y);
  return record(
      {.op = op::negate, .inputs = {x}, .outputs = {y}, .backward = [](const Entry&, const Tensors& dy) -> Tensors {
         return {negate(dy[0])};
       }});
}

}  // namespace folio
