// y = Σ x/n over the n elements of some dimensions      dx = dy/n, repeated along them
#include "autograd/ops/op.hpp"

namespace folio {

Tensor mean(const Tensor& x, const Dims& dims, bool keep) {
  require_float(x, "mean");
  Tensor y = sum_into(compute_dtype(x.dtype()), x, dims, keep);
  const Shape kept = reduced_shape(x, dims, "mean");
  std::int64_t n = 1;
  for (int d = 0; d < x.rank(); ++d) n *= kept[d] == 1 ? x.shape()[d] : 1;
  require(n > 0, [&] { return "mean: over no elements: " + describe(x) + " over dimensions " + to_string(dims); });
  kernel::scale(y, 1 / static_cast<double>(n), 0, y);
  y = cast(y, x.dtype());
  return record({.op = op::mean,
                 .inputs = {x},
                 .outputs = {y},
                 .parameters = std::pair(kept, n),
                 .backward = [](const Entry& e, const Tensors& dy) -> Tensors {
                   const auto& [shape, count] = e.parameter<std::pair<Shape, std::int64_t>>();
                   return {expand(reshape(scale(dy[0], 1 / static_cast<double>(count)), shape), e.input_shape(0))};
                 }});
}

}  // namespace folio
