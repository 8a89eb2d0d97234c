// y[i…] = x[i reordered], a view      dx = dy reordered back
#include "autograd/ops/op.hpp"

namespace folio {

Tensor permute(const Tensor& x, const Dims& order) {
  Shape shape;
  Strides strides;
  Dims back = Dims::filled(x.rank(), -1);
  for (int d = 0; d < order.size(); ++d) {
    const int from = normalize_dim(static_cast<int>(order[d]), x.rank(), "permute");
    shape.push_back(x.shape()[from]);
    strides.push_back(x.strides()[from]);
    back[from] = d;
  }
  bool complete = order.size() == x.rank();
  for (std::int64_t d : back) complete = complete && d >= 0;
  require(complete, [&] {
    return "permute: the order " + to_string(order) + " must name each dimension of " + describe(x) + " once";
  });
  return record(
      {.op = op::permute,
       .inputs = {x},
       .outputs = {Tensor(x.storage(), x.offset(), shape, strides, x.dtype())},
       .parameters = back,
       .backward = [](const Entry& e, const Tensors& dy) -> Tensors { return {permute(dy[0], e.parameter<Dims>())}; }});
}

Tensor transpose(const Tensor& x, int a, int b) {
  Dims order;
  for (int d = 0; d < x.rank(); ++d) order.push_back(d);
  std::swap(order[normalize_dim(a, x.rank(), "transpose")], order[normalize_dim(b, x.rank(), "transpose")]);
  return permute(x, order);
}

}  // namespace folio
