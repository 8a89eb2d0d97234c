#include <algorithm>

#include "tests/autograd/op_case.hpp"

namespace folio::testing {
namespace {

constexpr double kink_distance = 0.02;  // ten times the longest step of the checker

Problem unary(const Tensor& x, Tensor (*op)(const Tensor&)) {
  return {.inputs = {x},
          .f = [op](const Tensors& in) -> Tensors { return {op(in[0])}; },
          .description = to_string(x.shape())};
}

/// Whether the mask lets some elements through and others not.
bool divides(const Tensor& mask) {
  const std::vector<double> values = mask.to_vector();
  const auto zeros = std::count(values.begin(), values.end(), 0.0);
  return zeros > 0 && zeros < std::ssize(values);
}

}  // namespace

Problem draw_exp(Draw& draw) { return unary(draw.normal(draw.shape(0, 4)), exp); }
Problem draw_log(Draw& draw) { return unary(draw.uniform(draw.shape(0, 4), 0.5, 3), log); }
Problem draw_sqrt(Draw& draw) { return unary(draw.uniform(draw.shape(0, 4), 0.5, 3), sqrt); }
Problem draw_rsqrt(Draw& draw) { return unary(draw.uniform(draw.shape(0, 4), 0.5, 3), rsqrt); }
Problem draw_tanh(Draw& draw) { return unary(draw.uniform(draw.shape(0, 4), -3, 3), tanh); }
Problem draw_sigmoid(Draw& draw) { return unary(draw.uniform(draw.shape(0, 4), -3, 3), sigmoid); }
Problem draw_relu(Draw& draw) { return unary(draw.away_from_zero(draw.shape(0, 4), kink_distance), relu); }
Problem draw_gelu(Draw& draw) { return unary(draw.uniform(draw.shape(0, 4), -3, 3), gelu); }
Problem draw_silu(Draw& draw) { return unary(draw.uniform(draw.shape(0, 4), -3, 3), silu); }
Problem draw_softplus(Draw& draw) { return unary(draw.uniform(draw.shape(0, 4), -3, 3), softplus); }

// The bounds lie in the middle of gaps between the values, of which some are below, some between, some above.
Problem draw_clamp(Draw& draw) {
  const Shape shape = draw.shape(0, 4);
  const double gap = 0.1, step = 1.5 * gap, first = -0.75 * gap * static_cast<double>(numel(shape));
  const auto cut = draw.integer(0, numel(shape)), other = draw.integer(0, numel(shape));
  const double low = first + (static_cast<double>(std::min(cut, other)) - 0.5) * step;
  const double high = first + (static_cast<double>(std::max(cut, other)) - 0.5) * step;
  return {.inputs = {draw.distinct(shape, gap)},
          .f = [=](const Tensors& x) -> Tensors { return {clamp(x[0], low, high)}; },
          .description = to_string(shape) + " to [" + std::to_string(low) + ", " + std::to_string(high) + "]",
          .masked = std::min(cut, other) > 0 || std::max(cut, other) < numel(shape)};
}

Problem draw_where(Draw& draw) {
  const Shape full = draw.shape(0, 4);
  Shape shapes[3] = {full, full, full};
  const bool broadcast = draw.chance(0.5);
  if (broadcast) {
    const auto kept = draw.integer(0, 2);
    for (int i = 0; i < 3; ++i) {
      if (i != kept) shapes[i] = draw.broadcastable(full);
    }
  }
  const Tensor condition = draw.indices_of_either_type(shapes[0], 2);
  return {.inputs = {condition, draw.normal(shapes[1]), draw.normal(shapes[2])},
          .f = [](const Tensors& x) -> Tensors { return {where(x[0], x[1], x[2])}; },
          .description = to_string(shapes[0]) + " ? " + to_string(shapes[1]) + " : " + to_string(shapes[2]),
          .broadcast = broadcast && !(shapes[0] == full && shapes[1] == full && shapes[2] == full),
          .masked = divides(condition)};
}

Problem draw_dropout(Draw& draw) {
  const Shape shape = draw.shape(0, 4);
  const double p = 0.1 * static_cast<double>(draw.integer(1, 9));
  const RandomStream stream = draw.stream();
  return {.inputs = {draw.normal(shape)},
          .f = [=](const Tensors& x) -> Tensors { return {dropout(x[0], p, stream)}; },
          .description = to_string(shape) + " with p = " + std::to_string(p),
          .masked = divides(dropout(ones(shape), p, stream))};
}

}  // namespace folio::testing
