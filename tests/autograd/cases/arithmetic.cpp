#include "tests/autograd/op_case.hpp"

namespace folio::testing {
namespace {

/// Two operands of which either may be the one that broadcasts.
template <class Second>
Problem binary(Draw& draw, Tensor (*op)(const Tensor&, const Tensor&), Second&& second) {
  const Shape full = draw.shape(0, 4);
  Shape a = full, b = full;
  if (draw.chance(0.5)) (draw.chance(0.5) ? a : b) = draw.broadcastable(full);
  return {.inputs = {draw.normal(a), second(b)},
          .f = [op](const Tensors& x) -> Tensors { return {op(x[0], x[1])}; },
          .description = to_string(a) + " with " + to_string(b),
          .broadcast = !(a == b)};
}

}  // namespace

Problem draw_add(Draw& draw) {
  return binary(draw, add, [&](const Shape& s) { return draw.normal(s); });
}
Problem draw_subtract(Draw& draw) {
  return binary(draw, subtract, [&](const Shape& s) { return draw.normal(s); });
}
Problem draw_multiply(Draw& draw) {
  return binary(draw, multiply, [&](const Shape& s) { return draw.normal(s); });
}
Problem draw_divide(Draw& draw) {
  return binary(draw, divide, [&](const Shape& s) { return draw.away_from_zero(s); });
}

Problem draw_scale(Draw& draw) {
  const Shape shape = draw.shape(0, 4);
  const double factor = draw.integer(-3, 3) * 0.7, shift = draw.integer(-2, 2) * 0.3;
  return {.inputs = {draw.normal(shape)},
          .f = [=](const Tensors& x) -> Tensors { return {scale(x[0], factor, shift)}; },
          .description = to_string(shape) + " times " + std::to_string(factor)};
}

Problem draw_negate(Draw& draw) {
  const Shape shape = draw.shape(0, 4);
  return {.inputs = {draw.normal(shape)},
          .f = [](const Tensors& x) -> Tensors { return {negate(x[0])}; },
          .description = to_string(shape)};
}

// Whole exponents on both sides of 0; others to the right of it.
Problem draw_power(Draw& draw) {
  const Shape shape = draw.shape(0, 4);
  const bool whole = draw.chance(0.6);
  const double p =
      whole ? static_cast<double>(draw.integer(-3, 5)) : 0.5 * static_cast<double>(draw.integer(-5, 5)) + 0.25;
  return {.inputs = {whole ? draw.away_from_zero(shape) : draw.uniform(shape, 0.5, 2)},
          .f = [=](const Tensors& x) -> Tensors { return {power(x[0], p)}; },
          .description = to_string(shape) + " to the power " + std::to_string(p)};
}

}  // namespace folio::testing
