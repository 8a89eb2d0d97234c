// y = x[begin:end] along one dimension, a view      dx = dy there, 0 elsewhere
#include "autograd/ops/op.hpp"

namespace folio {

namespace {
struct Range {
  int dim;
  std::int64_t begin, end;
};

Tensor view(const Tensor& x, const Range& r) {
  Shape shape = x.shape();
  shape[r.dim] = r.end - r.begin;
  return {x.storage(), x.offset() + r.begin * x.strides()[r.dim], shape, x.strides(), x.dtype()};
}
}  // namespace

Tensor slice(const Tensor& x, int dim, std::int64_t begin, std::int64_t end) {
  const Range range = {normalize_dim(dim, x.rank(), "slice"), begin, end};
  require(0 <= begin && begin <= end && end <= x.shape()[range.dim], [&] {
    return "slice: [" + std::to_string(begin) + ", " + std::to_string(end) + ") is not within dimension " +
           std::to_string(dim) + " of " + describe(x);
  });
  return record({.op = op::slice,
                 .inputs = {x},
                 .outputs = {view(x, range)},
                 .parameters = range,
                 .backward = [](const Entry& e, const Tensors& dy) -> Tensors {
                   Tensor dx = zeros(e.input_shape(0), dy[0].options());
                   view(dx, e.parameter<Range>()).copy_from(dy[0]);
                   return {dx};
                 }});
}

}  // namespace folio
