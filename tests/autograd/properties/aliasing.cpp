// 4. Gradients of all uses of a tensor add up: one tensor as several arguments, fan-out, diamonds, f(x) + f(x).
#include "tests/autograd/properties/compare.hpp"

namespace folio::testing {
namespace {

/// All float inputs as views of the start of one tensor: the largest input's values serve for all of them.
void shared_by_all_arguments(Trial& t, const Tensors& outputs, const Tensors& v) {
  const Problem& p = t.problem;
  Tensor widest;
  int floats = 0;
  for (const Tensor& x : p.inputs) {
    if (!x.defined() || !is_float(x.dtype())) continue;
    ++floats;
    if (!widest.defined() || x.numel() > widest.numel()) widest = x;
  }
  if (floats < 2) return;
  const Tensor base = widest.reshape({widest.numel()}).clone();
  const auto view = [](const Tensor& x, const Tensor& of) { return of.slice(0, 0, x.numel()).reshape(x.shape()); };
  const Function shared = [&](const Tensors& in) {
    Tensors arguments;
    for (const Tensor& x : p.inputs) {
      arguments.push_back(x.defined() && is_float(x.dtype()) ? view(x, in[0]) : x);
    }
    return p.f(arguments);
  };
  Tensors separate;
  for (const Tensor& x : p.inputs) {
    separate.push_back(x.defined() && is_float(x.dtype()) ? view(x, base).clone() : x);
  }
  const Run apart = vjp(p.f, separate, v);
  const Run together = vjp(shared, {base}, v);
  expect_equal(together.outputs, apart.outputs, "one tensor as every argument, output");
  Tensor sum = zeros(base.shape(), base.options());
  double size = 0;
  for (const Tensor& g : apart.gradients) {
    if (!g.defined()) continue;
    Tensor padded = zeros(base.shape(), base.options());
    padded.slice(0, 0, g.numel()).copy_from(g.reshape({g.numel()}));
    sum = sum + padded;
    size += largest(g);
  }
  const std::string d = difference(together.gradients[0], sum, 0, rounding(p.inputs, outputs) * size);
  expect(d.empty(), "one tensor as every argument, its gradient against the sum of theirs: " + d);
  ++t.checked;
}

Tensors doubled(const Tensors& xs) {
  Tensors all;
  for (const Tensor& x : xs) all.push_back(x.defined() && is_float(x.dtype()) ? x * 2 : x);
  return all;
}

Tensors map_floats(const Tensors& xs, Tensor (*f)(const Tensor&)) {
  Tensors all;
  for (const Tensor& x : xs) all.push_back(x.defined() && is_float(x.dtype()) ? f(x) : x);
  return all;
}
Tensor diamond(const Tensor& x) { return x * 2 - x; }  // equals x, exactly, by two ways

void check(Trial& t) {
  draw_dtype(t);
  const Problem& p = t.problem;
  const Tensors outputs = evaluate(p.f, p.inputs);
  const Tensors v = random_cotangents(outputs, t.draw), w = random_cotangents(outputs, t.draw);
  const Run once = vjp(p.f, p.inputs, v);
  const double tolerance = rounding(p.inputs, outputs);

  const Function twice = [&](const Tensors& x) {
    const Tensors a = p.f(x), b = p.f(x);
    Tensors sums;
    for (std::size_t i = 0; i < a.size(); ++i) sums.push_back(is_float(a[i].dtype()) ? a[i] + b[i] : a[i]);
    return sums;
  };
  expect_equal(vjp(twice, p.inputs, v).gradients, doubled(once.gradients), "f(x) + f(x), input");

  const Function diamonds = [&](const Tensors& x) { return map_floats(p.f(map_floats(x, diamond)), diamond); };
  expect_close(vjp(diamonds, p.inputs, v).gradients, once.gradients, tolerance, "x and f(x) through diamonds, input");

  // Two consumers of one result, each with a cotangent of its own.
  const Function fan_out = [&](const Tensors& x) {
    Tensors both;
    for (const Tensor& y : p.f(x)) {
      both.push_back(is_float(y.dtype()) ? y * 2 : y);
      both.push_back(is_float(y.dtype()) ? y * -1 : y);
    }
    return both;
  };
  Tensors fanned, net;
  for (std::size_t i = 0; i < v.size(); ++i) {
    fanned.push_back(v[i]);
    fanned.push_back(w[i]);
    net.push_back(v[i].defined() ? v[i] * 2 - w[i] : Tensor());
  }
  const Run spread = vjp(fan_out, p.inputs, fanned), direct = vjp(p.f, p.inputs, net);
  expect_close(spread.gradients, direct.gradients, tolerance, "a result used twice, input");
  t.checked += 3;
  shared_by_all_arguments(t, outputs, v);
}

}  // namespace

Property property_aliasing() {
  return {.name = "Aliasing", .claim = "the gradients of all uses add up", .check = check, .largest = 12};
}

}  // namespace folio::testing
