#include "tests/autograd/op_case.hpp"

namespace folio::testing {

// Rows keep off 0, where a small eps makes the norm steep.
Problem draw_rms_norm(Draw& draw) {
  Shape shape = draw.shape(0, 3);
  const std::int64_t d = draw.extent();
  shape.push_back(d);
  const double eps = draw.chance(0.5) ? 1e-6 : 0.3;
  return {.inputs = {draw.away_from_zero(shape), draw.normal({d})},
          .f = [=](const Tensors& x) -> Tensors { return {rms_norm(x[0], x[1], eps)}; },
          .composed = [=](const Tensors& x) -> Tensors {
            if (x[0].numel() == 0) return {x[0] * x[1]};
            const Tensor square = mean(x[0] * x[0], {-1}, true);
            return {x[0] * rsqrt(square + eps) * x[1]};
          },
          .description = to_string(shape) + " eps " + std::to_string(eps)};
}

Problem draw_swiglu(Draw& draw) {
  const Shape shape = draw.shape(1, 3);
  return {.inputs = {draw.normal(shape), draw.normal(shape)},
          .f = [](const Tensors& x) -> Tensors { return {swiglu(x[0], x[1])}; },
          .composed = [](const Tensors& x) -> Tensors { return {x[0] / (exp(scale(x[0], -1)) + 1) * x[1]}; },
          .description = to_string(shape)};
}

}  // namespace folio::testing
