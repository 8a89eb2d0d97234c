// y = x₀, x₁, … one after another along a dimension      dxᵢ = the slice of dy where xᵢ lies
#include "autograd/ops/op.hpp"

namespace folio {

Tensor concat(const Tensors& xs, int dim) {
  require(!xs.empty(), [] { return std::string("concat: needs at least one tensor"); });
  const int d = normalize_dim(dim, xs[0].rank(), "concat");
  Shape shape = xs[0].shape();
  shape[d] = 0;
  for (const Tensor& x : xs) {
    bool fits = x.rank() == shape.size() && x.dtype() == xs[0].dtype();
    for (int i = 0; fits && i < shape.size(); ++i) fits = i == d || x.shape()[i] == shape[i];
    require(fits, [&] {
      return "concat: " + describe(xs[0]) + " and " + describe(x) + " may differ only in dimension " +
             std::to_string(dim);
    });
    shape[d] += x.shape()[d];
  }
  Tensor y = empty(shape, xs[0].options());
  std::int64_t begin = 0;
  for (const Tensor& x : xs) {
    Tensor part = slice(y, d, begin, begin + x.shape()[d]);
    kernel::copy(x, part);
    begin += x.shape()[d];
  }
  return record({.op = op::concat,
                 .inputs = xs,
                 .outputs = {y},
                 .parameters = d,
                 .backward = [](const Entry& e, const Tensors& dy) -> Tensors {
                   const int d = e.parameter<int>();
                   Tensors dx(e.inputs.size());
                   std::int64_t begin = 0;
                   for (std::size_t i = 0; i < dx.size(); ++i) {
                     const std::int64_t end = begin + e.input_shape(i)[d];
                     if (e.needs(i)) dx[i] = slice(dy[0], d, begin, end);
                     begin = end;
                   }
                   return dx;
                 }});
}

}  // namespace folio
