// y = x·Wᵀ      dx = dy·W,  dW = dyᵀ·x over all rows
#include "autograd/ops/op.hpp"

namespace folio {

Tensor linear(const Tensor& x, const Tensor& weight) {
  require_weight(x, weight, "linear");
  require(x.rank() >= 1 && weight.rank() == 2 && x.dim(-1) == weight.dim(1), [&] {
    return "linear: input " + to_string(x.shape()) + " and weight " + to_string(weight.shape()) +
           " do not fit: needs (…, in) and (out, in)";
  });
  Shape shape = x.shape();
  shape[x.rank() - 1] = weight.dim(0);
  Tensor y = empty(shape, x.options());  // (…, out)
  Tensor out = as_rows(y);
  const Tensor w = weight_for(x, weight);
  kernel::matmul(as_rows(x), transposed(w), false, out);
  return record({.op = op::linear,
                 .inputs = {x, weight},
                 .outputs = {y},
                 .saved = {weight.requires_grad() ? x : Tensor(), x.requires_grad() ? w : Tensor()},
                 .backward = [](const Entry& e, const Tensors& dy) -> Tensors {
                   const Tensor g = as_rows(dy[0]);  // (rows, out)
                   Tensor dx, dw;
                   if (e.needs(0)) dx = matmul(g, e.saved(1)).reshape(e.input_shape(0));
                   if (e.needs(1)) {
                     dw = empty(e.input_shape(1), e.inputs[1]->options);  // (out, in)
                     kernel::matmul(transposed(g), as_rows(e.saved(0)), false, dw);
                   }
                   return {dx, dw};
                 }});
}

}  // namespace folio
