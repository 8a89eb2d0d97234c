// y₀, y₁, … = neighbouring pieces of x along a dimension, views      dx = dy₀, dy₁, … one after another
#include "autograd/ops/op.hpp"

namespace folio {

Tensors split(const Tensor& x, const Dims& extents, int dim) {
  const int d = normalize_dim(dim, x.rank(), "split");
  const Tensor source = x.detach();
  Tensors pieces;
  std::int64_t begin = 0;
  for (std::int64_t extent : extents) {
    require(extent >= 0 && begin + extent <= x.shape()[d], [&] {
      return "split: pieces " + to_string(extents) + " do not lie within dimension " + std::to_string(dim) + " of " +
             describe(x);
    });
    pieces.push_back(slice(source, d, begin, begin + extent));
    begin += extent;
  }
  require(begin == x.shape()[d], [&] {
    return "split: pieces " + to_string(extents) + " do not add up to dimension " + std::to_string(dim) + " of " +
           describe(x);
  });
  return record_all(
      {.op = op::split,
       .inputs = {x},
       .outputs = std::move(pieces),
       .parameters = d,
       .backward = [](const Entry& e, const Tensors& dy) -> Tensors { return {concat(dy, e.parameter<int>())}; }});
}

}  // namespace folio
