// 1. The vector-Jacobian product against finite differences along random directions, with a random cotangent (never `sum`,
// which is nearly blind for softmax); at tiny sizes every entry of the Jacobian. The case's own op is on the tape.
#include <sstream>

#include "tests/autograd/properties/compare.hpp"

namespace folio::testing {
namespace {

bool records(const Trial& t) {
  Tensors leaves;
  for (const Tensor& x : t.problem.inputs) {
    leaves.push_back(x.defined() ? x.detach() : x);
    if (x.defined() && is_float(x.dtype())) leaves.back().requires_grad(true);
  }
  const Tape tape;
  const Tensors outputs = t.problem.f(leaves);
  for (const Entry& entry : tape.entries()) {
    if (entry.op == OpName{t.op_case.op}) return true;
  }
  return false;
}

std::int64_t float_elements(const Tensors& xs) {
  std::int64_t n = 0;
  for (const Tensor& x : xs) n += x.defined() && is_float(x.dtype()) ? x.numel() : 0;
  return n;
}

void check(Trial& t) {
  const Problem& p = t.problem;
  t.own_entry = records(t);
  const std::int64_t in = float_elements(p.inputs), out = float_elements(evaluate(p.f, p.inputs));
  GradcheckOptions options = {.directions = in > 500 ? 2 : 3, .seed = t.seed, .jacobian = in <= 12 && out <= 12};
  if (p.dyadic) {
    options.step = 0x1p-10;
    options.grid = 0x1p-5;
  }
  const GradcheckReport report = gradcheck(p.f, p.inputs, options);
  t.checked += report.checked;
  t.discarded += report.discarded;
  if (report.passed) return;
  // A draw of no elements has nothing to differentiate; one near a choice was discarded, and is counted.
  const bool nothing_to_compare = in == 0 || out == 0 || report.discarded > 0;
  if (report.checked == 0 && nothing_to_compare) return;
  std::ostringstream text;
  text << report;
  throw Refuted(text.str());
}

}  // namespace

Property property_finite_differences() {
  return {.name = "FiniteDifferences", .claim = "the gradient agrees with finite differences", .check = check};
}

}  // namespace folio::testing
