// y = x^p      dx = dy·p·x^(p − 1)
// Negative x only for whole p. p = 0 gives 1, and a gradient of 0 even at x = 0.
#include "autograd/cpu/elementwise.hpp"
#include "autograd/ops/op.hpp"

namespace folio {

void cpu::power(const Tensor& x, double exponent, Tensor& y) {
  if (exponent == -1)
    return map_floats(
        y, [](const auto& x) { return x.inverse(); }, x);
  if (exponent == 0)
    return map_floats(
        y, [](const auto& x) { return x.isNaN().select(x, 1); }, x);
  if (exponent == 1)
    return map_floats(
        y, [](const auto& x) { return x; }, x);
  if (exponent == 2)
    return map_floats(
        y, [](const auto& x) { return x.square(); }, x);
  if (exponent == 3)
    return map_floats(
        y, [](const auto& x) { return x.cube(); }, x);
  visit_compute(y.dtype(), [&](auto tag) {
    using T = decltype(tag);
    map_elements<T>(
        y, [p = static_cast<T>(exponent)](const auto& x) { return x.pow(p); }, x);
  });
}

Tensor power(const Tensor& x, double exponent) {
  require_float(x, "power");
  Tensor y = empty_like(x);
  kernel::power(x, exponent, y);
  return record({.op = op::power,
                 .inputs = {x},
                 .outputs = {y},
                 .saved = {x},
                 .parameters = exponent,
                 .backward = [](const Entry& e, const Tensors& dy) -> Tensors {
                   const double p = e.parameter<double>();
                   if (p == 0) return {scale(dy[0], 0)};
                   return {multiply(dy[0], scale(power(e.saved(0), p - 1), p))};
                 }});
}

}  // namespace folio
