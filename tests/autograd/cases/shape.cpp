#include <algorithm>

#include "tests/autograd/op_case.hpp"

namespace folio::testing {

Problem draw_reshape(Draw& draw) {
  const Shape shape = draw.shape(1, 4);
  Shape merged;  // neighbours multiplied together, now and then
  for (std::int64_t extent : shape) {
    if (!merged.empty() && draw.chance(0.5)) {
      merged[merged.size() - 1] *= extent;
    } else {
      merged.push_back(extent);
    }
  }
  const bool splits = draw.chance(0.5);
  const Shape from = splits ? merged : shape, to = splits ? shape : merged;
  return {.inputs = {draw.normal(from)},
          .f = [=](const Tensors& x) -> Tensors { return {reshape(x[0], to)}; },
          .description = to_string(from) + " to " + to_string(to)};
}

Problem draw_permute(Draw& draw) {
  const Shape shape = draw.shape(0, 4);
  Dims order;
  for (int d = 0; d < shape.size(); ++d) order.push_back(d);
  for (int d = shape.size() - 1; d > 0; --d) std::swap(order[d], order[static_cast<int>(draw.integer(0, d))]);
  return {.inputs = {draw.normal(shape)},
          .f = [=](const Tensors& x) -> Tensors { return {permute(x[0], order)}; },
          .description = to_string(shape) + " by " + to_string(order)};
}

Problem draw_expand(Draw& draw) {
  const Shape full = draw.shape(0, 4);
  const Shape from = draw.broadcastable(full);
  return {.inputs = {draw.normal(from)},
          .f = [=](const Tensors& x) -> Tensors { return {expand(x[0], full)}; },
          .description = to_string(from) + " to " + to_string(full),
          .broadcast = !(from == full)};
}

Problem draw_slice(Draw& draw) {
  const Shape shape = draw.shape(1, 4);
  const int dim = static_cast<int>(draw.integer(0, shape.size() - 1));
  const std::int64_t begin = draw.integer(0, shape[dim]);
  const std::int64_t end = draw.integer(begin, shape[dim]);
  return {.inputs = {draw.normal(shape)},
          .f = [=](const Tensors& x) -> Tensors { return {slice(x[0], dim, begin, end)}; },
          .description = to_string(shape) + " [" + std::to_string(begin) + ", " + std::to_string(end) + ") along " +
                         std::to_string(dim)};
}

Problem draw_contiguous(Draw& draw) {
  const Shape shape = draw.shape(2, 4);
  return {.inputs = {draw.normal(shape)},
          .f = [](const Tensors& x) -> Tensors { return {contiguous(x[0].transpose(0, 1))}; },
          .description = to_string(shape) + " transposed"};
}

}  // namespace folio::testing
