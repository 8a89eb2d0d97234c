// y = x repeated along dimensions of extent 1, a view of stride 0      dx = Σ dy over them
#include <algorithm>

#include "autograd/ops/op.hpp"

namespace folio {

Tensor expand(const Tensor& x, const Shape& shape) {
  const bool extents = std::all_of(shape.begin(), shape.end(), [](std::int64_t extent) { return extent >= 0; });
  require(extents && broadcast_shapes(x.shape(), shape, "expand") == shape,
          [&] { return "expand: " + describe(x) + " does not broadcast to " + to_string(shape); });
  const Strides strides = broadcast_strides(x.shape(), x.strides(), shape);
  return record({.op = op::expand,
                 .inputs = {x},
                 .outputs = {Tensor(x.storage(), x.offset(), shape, strides, x.dtype())},
                 .backward = [](const Entry& e, const Tensors& dy) -> Tensors {
                   return {unbroadcast(dy[0], e.input_shape(0))};
                 }});
}

}  // namespace folio
