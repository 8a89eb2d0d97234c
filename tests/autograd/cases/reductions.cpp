#include "tests/autograd/op_case.hpp"

namespace folio::testing {

namespace {

Problem reduction(Draw& draw, Tensor (*op)(const Tensor&, const Dims&, bool), bool may_be_zero) {
  const Shape shape = draw.shape(0, 4, may_be_zero);
  Dims dims;
  for (int d = 0; d < shape.size(); ++d) {
    if (draw.chance(0.5)) dims.push_back(draw.chance(0.5) ? d : d - shape.size());
  }
  const bool keep = draw.chance(0.5);
  return {.inputs = {draw.normal(shape)},
          .f = [=](const Tensors& x) -> Tensors { return {op(x[0], dims, keep)}; },
          .description = to_string(shape) + " over " + to_string(dims)};
}

}  // namespace

Problem draw_sum(Draw& draw) { return reduction(draw, sum, true); }
Problem draw_mean(Draw& draw) { return reduction(draw, mean, false); }

}  // namespace folio::testing
