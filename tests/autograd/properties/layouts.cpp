// 5. Views, transposes, slices and gaps in inputs and in the upstream gradient give what packed copies give, and nothing is
// written into inputs, cotangents, or what lies around them.
#include <algorithm>

#include "tests/autograd/properties/compare.hpp"
#include "tests/autograd/properties/layout.hpp"

namespace folio::testing {
namespace {

bool all_on_cpu(const Tensors& xs) {
  return std::all_of(xs.begin(), xs.end(), [](const Tensor& x) { return !x.defined() || x.device() == Device::cpu; });
}

struct Spread {
  Tensors views, bases, before;
  bool strided = false;
};

Spread spread(const Tensors& xs, Draw& draw) {
  Spread all;
  for (const Tensor& x : xs) {
    if (!x.defined() || draw.chance(0.1)) {
      all.views.push_back(x);
      continue;
    }
    const LaidOut laid = x.is_contiguous() ? laid_out(x, draw) : LaidOut{x, x};
    all.strided = all.strided || laid.strided();
    all.views.push_back(laid.view);
    all.bases.push_back(laid.base);
    all.before.push_back(laid.base.clone());
  }
  return all;
}

Tensors packed(const Tensors& xs) {
  Tensors all;
  for (const Tensor& x : xs) all.push_back(x.defined() ? x.clone() : x);
  return all;
}

/// Floats as they are, or as one of the 16-bit floats, whose kernels read other layouts their own way.
Tensors in_drawn_dtype(const Tensors& xs, Draw& draw) {
  if (draw.chance(0.6)) return xs;
  const DType dtype = draw.chance(0.5) ? DType::bfloat16 : DType::float16;
  Tensors all;
  for (const Tensor& x : xs) all.push_back(x.defined() && is_float(x.dtype()) ? x.to(dtype) : x);
  return all;
}

void check(Trial& t) {
  draw_dtype(t);
  Problem p = t.problem;
  if (all_on_cpu(p.inputs)) p.inputs = in_drawn_dtype(p.inputs, t.draw);
  const Tensors outputs = evaluate(p.f, p.inputs);
  Tensors v = random_cotangents(outputs, t.draw);
  // Sometimes the upstream gradient is a view of stride 0, as the gradient of a sum is.
  for (Tensor& c : v) {
    if (c.defined() && t.draw.chance(0.3)) c = repeated(c, t.draw);
  }
  const Run reference = vjp(p.f, p.inputs, packed(v));
  const Spread inputs = spread(p.inputs, t.draw), cotangents = spread(v, t.draw);
  const bool upstream_only = t.draw.chance(0.25);
  const Run run = vjp(p.f, upstream_only ? p.inputs : inputs.views, cotangents.views);
  const double tolerance = rounding(p.inputs, outputs);
  expect_close(run.outputs, reference.outputs, tolerance, "output");
  expect_close(run.gradients, reference.gradients, tolerance, "gradient of input", tolerance * largest(v));
  for (const Spread* s : {&inputs, &cotangents}) expect_equal(s->bases, s->before, "what was handed in, afterwards,");
  t.strided = cotangents.strided || (inputs.strided && !upstream_only);
  ++t.checked;
}

}  // namespace

Property property_layouts() {
  return {.name = "Layouts", .claim = "layout makes no difference", .check = check, .draws = 2, .strided = true};
}

}  // namespace folio::testing
