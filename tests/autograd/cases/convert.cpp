#include "tests/autograd/op_case.hpp"

namespace folio::testing {

// To float64 and back through nothing narrower: finite differences need every digit.
Problem draw_cast(Draw& draw) {
  const Shape shape = draw.shape(0, 4);
  return {.inputs = {draw.normal(shape)},
          .f = [](const Tensors& x) -> Tensors {
            return {cast(x[0], x[0].dtype() == DType::float64 ? DType::float32 : DType::float64)};
          },
          .description = to_string(shape)};
}

Problem draw_to_device(Draw& draw) {
  const Shape shape = draw.shape(0, 4);
  return {.inputs = {draw.normal(shape)},
          .f = [](const Tensors& x) -> Tensors { return {to_device(x[0], Device::cpu)}; },
          .description = to_string(shape)};
}

}  // namespace folio::testing
