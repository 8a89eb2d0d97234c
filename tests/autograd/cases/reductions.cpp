#include <algorithm>
#include <utility>

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

/// Over values that are apart from each other; the reduced dimension is never empty.
Problem extreme(Draw& draw, std::pair<Tensor, Tensor> (*op)(const Tensor&, int, bool)) {
  Shape shape = draw.shape(1, 4);
  const int dim = static_cast<int>(draw.integer(0, shape.size() - 1));
  if (shape[dim] == 0) shape[dim] = 1;
  const bool keep = draw.chance(0.5), from_back = draw.chance(0.5);
  return {.inputs = {draw.distinct(shape)},
          .f = [=](const Tensors& x) -> Tensors {
            const auto [values, indices] = op(x[0], from_back ? dim - x[0].rank() : dim, keep);
            return {values, indices};
          },
          .description = to_string(shape) + " along " + std::to_string(dim)};
}

}  // namespace

Problem draw_sum(Draw& draw) { return reduction(draw, sum, true); }
Problem draw_mean(Draw& draw) { return reduction(draw, mean, false); }
Problem draw_max(Draw& draw) { return extreme(draw, max); }
Problem draw_min(Draw& draw) { return extreme(draw, min); }

Problem draw_top_k(Draw& draw) {
  const Shape shape = draw.shape(1, 3);
  const std::int64_t k = draw.integer(std::min<std::int64_t>(1, shape.back()), shape.back());
  return {.inputs = {draw.distinct(shape)},
          .f = [=](const Tensors& x) -> Tensors {
            const auto [values, indices] = top_k(x[0], k);
            return {values, indices};
          },
          .description = std::to_string(k) + " of " + to_string(shape)};
}

}  // namespace folio::testing
