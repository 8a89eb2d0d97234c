// 2. Backward is linear in the cotangent. Doubling and negating it are exact in binary, so those hold bit for bit; a zero
// cotangent gives zeros.
#include "tests/autograd/properties/compare.hpp"

namespace folio::testing {
namespace {

Tensors combined(const Tensors& a, double factor, const Tensors& b) {
  Tensors sums;
  for (std::size_t i = 0; i < a.size(); ++i) sums.push_back(a[i].defined() ? a[i] * factor + b[i] : Tensor());
  return sums;
}
Tensors scaled(const Tensors& a, double factor) {
  Tensors all;
  for (const Tensor& x : a) all.push_back(x.defined() ? x * factor : x);
  return all;
}

void check(Trial& t) {
  const Problem& p = t.problem;
  const Tensors outputs = evaluate(p.f, p.inputs);
  const Tensors v = dyadic_cotangents(outputs, t.draw), w = dyadic_cotangents(outputs, t.draw);
  const auto gradient = [&](const Tensors& cotangents) { return vjp(p.f, p.inputs, cotangents).gradients; };
  const Tensors of_v = gradient(v), of_w = gradient(w);
  expect_equal(gradient(scaled(v, 2)), scaled(of_v, 2), "the gradient under twice the cotangent, input");
  expect_equal(gradient(scaled(v, -1)), scaled(of_v, -1), "the gradient under the negated cotangent, input");
  expect_equal(gradient(scaled(v, 0)), scaled(of_v, 0), "the gradient under a zero cotangent, input");
  // 3v + w, so that v and w are not interchangeable. The sizes of what is added up, not of the sum, say what rounding may
  // cost; where a backward subtracts (rms_norm, softmax), that is the cotangent's.
  const Tensors sum = gradient(combined(v, 3, w)), parts = combined(of_v, 3, of_w);
  const double upstream = largest(v) + largest(w);
  for (std::size_t i = 0; i < sum.size(); ++i) {
    if (!sum[i].defined()) continue;
    const double floor = rounding(p.inputs, outputs) * (3 * largest(of_v[i]) + largest(of_w[i]) + upstream);
    const std::string d = difference(sum[i], parts[i], 0, floor);
    expect(d.empty(), "the gradient under 3v + w, input " + std::to_string(i) + ": " + d);
  }
  ++t.checked;
}

}  // namespace

Property property_linearity() {
  return {.name = "Linearity", .claim = "backward is linear in the cotangent", .check = check};
}

}  // namespace folio::testing
