// 7. A fused op equals its composition of plain ops, in value and in every gradient.
#include "tests/autograd/properties/compare.hpp"

namespace folio::testing {
namespace {

bool is_fused(const OpCase& c) {
  Draw draw(0);
  return c.draw(draw).composed != nullptr;
}

void check(Trial& t) {
  const Problem& p = t.problem;
  const Tensors outputs = evaluate(p.f, p.inputs);
  const Tensors v = random_cotangents(outputs, t.draw);
  const Run fused = vjp(p.f, p.inputs, v), composed = vjp(p.composed, p.inputs, v);
  // The formulas differ, so rounding differs by more than its order: ten times what reordering may cost.
  const double tolerance = 10 * rounding(p.inputs, outputs);
  expect_close(fused.outputs, composed.outputs, tolerance, "output, fused against composed,");
  expect_close(fused.gradients, composed.gradients, tolerance, "gradient, fused against composed, of input",
               tolerance * 1e-3 * largest(v));  // where everything cancels, as in the softmax of one score
  ++t.checked;
}

}  // namespace

Property property_fused() {
  return {.name = "Fused", .claim = "fused equals composed", .check = check, .applies = is_fused};
}

}  // namespace folio::testing
