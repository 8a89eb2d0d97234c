#include "tests/autograd/op_case.hpp"

namespace folio::testing {

// Finite differences need digits that float32 lacks, except where every value on the way is exact: cast is linear, so
// multiples of a power of two, moved by such steps along such directions, lose nothing.
Problem draw_cast(Draw& draw) {
  const Shape shape = draw.shape(0, 4);
  const bool back = draw.chance(0.5);  // and back again: both directions of the backward
  return {.inputs = {draw.dyadic(shape)},
          .f = [=](const Tensors& x) -> Tensors {
            const Tensor y = cast(x[0], x[0].dtype() == DType::float64 ? DType::float32 : DType::float64);
            return {back ? cast(y, x[0].dtype()) : y};
          },
          .description = to_string(shape) + (back ? " and back" : ""),
          .dyadic = true};
}

Problem draw_to_device(Draw& draw) {
  const Shape shape = draw.shape(0, 4);
  return {.inputs = {draw.normal(shape)},
          .f = [](const Tensors& x) -> Tensors {
            return {to_device(x[0], x[0].device() == Device::cpu ? other_device() : Device::cpu)};
          },
          .description = to_string(shape)};
}

}  // namespace folio::testing
