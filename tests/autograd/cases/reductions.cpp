#include "tests/autograd/op_case.hpp"

namespace folio::testing {

Problem draw_sum(Draw& draw) {
  const Shape shape = draw.shape(0, 4);
  Dims dims;
  for (int d = 0; d < shape.size(); ++d) {
    if (draw.chance(0.5)) dims.push_back(draw.chance(0.5) ? d : d - shape.size());
  }
  const bool keep = draw.chance(0.5);
  return {.inputs = {draw.normal(shape)},
          .f = [=](const Tensors& x) -> Tensors { return {sum(x[0], dims, keep)}; },
          .description = to_string(shape) + " over " + to_string(dims)};
}

}  // namespace folio::testing
