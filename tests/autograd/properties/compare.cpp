#include "tests/autograd/properties/compare.hpp"

#include <algorithm>
#include <cmath>
#include <sstream>

namespace folio::testing {

Needs all_floats(const Tensors& inputs) {
  Needs needs;
  for (const Tensor& x : inputs) needs.push_back(x.defined() && is_float(x.dtype()));
  return needs;
}

Tensors evaluate(const Function& f, const Tensors& inputs) {
  const NoRecording pause;
  Tensors outputs;
  for (const Tensor& y : f(inputs)) outputs.push_back(y.detach());
  return outputs;
}

namespace {
/// Past the tape, which would object.
void overwrite(const Tensor& y, const Tensor& values) {
  if (y.device() != Device::cpu || !y.is_contiguous() || !(y.shape() == values.shape())) return;
  visit_bits(y.dtype(), [&](auto bits) {
    using T = decltype(bits);
    std::copy_n(values.contiguous().ptr<T>(), y.numel(), y.ptr<T>());
  });
}
}  // namespace

Run vjp(const Function& f, const Tensors& inputs, const Tensors& cotangents, const Needs& needs,
        const Tensors& results) {
  Tensors leaves;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    leaves.push_back(inputs[i].defined() ? inputs[i].detach() : Tensor());
    if (needs[i]) leaves.back().requires_grad(true);
  }
  Run run;
  Tape tape;
  Tensors roots, seeds;
  for (const Tensor& y : f(leaves)) {
    if (y.requires_grad()) {
      roots.push_back(y);
      seeds.push_back(cotangents[run.outputs.size()]);
    }
    if (!results.empty()) overwrite(y, results[run.outputs.size()]);
    run.outputs.push_back(y.detach());
  }
  if (!roots.empty()) tape.backward(roots, seeds);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    Tensor g = leaves[i].defined() ? leaves[i].grad() : Tensor();
    if (needs[i] && !g.defined()) g = zeros(leaves[i].shape(), leaves[i].options());
    run.gradients.push_back(g);
  }
  return run;
}

Tensors random_cotangents(const Tensors& outputs, Draw& draw) {
  Tensors cotangents;
  for (const Tensor& y : outputs) {
    cotangents.push_back(is_float(y.dtype()) ? draw.normal(y.shape()).to(y.dtype()).to(y.device()) : Tensor());
  }
  return cotangents;
}

Tensors dyadic_cotangents(const Tensors& outputs, Draw& draw) {
  Tensors cotangents;
  for (const Tensor& y : outputs) {
    cotangents.push_back(is_float(y.dtype()) ? draw.dyadic(y.shape(), 2, 1.0 / 64).to(y.dtype()).to(y.device())
                                             : Tensor());
  }
  return cotangents;
}

void draw_dtype(Trial& trial) {
  if (!trial.draw.chance(0.5)) return;
  for (Tensor& x : trial.problem.inputs) {
    if (x.defined() && is_float(x.dtype())) x = x.to(DType::float32);
  }
}

double rounding(const Tensors& inputs, const Tensors& outputs) {
  double most = 1e-11;
  for (const Tensors* all : {&inputs, &outputs}) {
    for (const Tensor& x : *all) {
      if (!x.defined()) continue;
      if (x.dtype() == DType::float32) most = std::max(most, 1e-5);
      // One unit in the last place, where float32's rounding tips a result over to the other neighbour.
      if (x.dtype() == DType::bfloat16) most = std::max(most, 0x1p-7);
      if (x.dtype() == DType::float16) most = std::max(most, 0x1p-10);
    }
  }
  return most;
}

double largest(const Tensor& x) {
  double most = 0;
  for (double v : x.to_vector()) most = std::max(most, std::abs(v));
  return most;
}
double largest(const Tensors& xs) {
  double most = 0;
  for (const Tensor& x : xs) {
    if (x.defined() && is_float(x.dtype())) most = std::max(most, largest(x));
  }
  return most;
}

namespace {
std::string difference_beyond(const Tensor& a, const Tensor& b, double relative, double floor) {
  if (a.defined() != b.defined()) return "one is undefined: " + describe(a) + " and " + describe(b);
  if (!a.defined()) return "";
  if (!(a.shape() == b.shape()) || a.dtype() != b.dtype()) return describe(a) + " against " + describe(b);
  const std::vector<double> x = a.to_vector(), y = b.to_vector();
  double scale = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    for (double v : {x[i], y[i]}) {
      if (std::isfinite(v)) scale = std::max(scale, std::abs(v));
    }
  }
  const double allowed = std::max(relative * scale, floor);
  double worst = -1;
  std::size_t at = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (x[i] == y[i] || (std::isnan(x[i]) && std::isnan(y[i]))) continue;
    double d = std::abs(x[i] - y[i]);
    if (!std::isfinite(d)) d = INFINITY;
    if (d <= allowed || d <= worst) continue;
    worst = d;
    at = i;
  }
  if (worst < 0) return "";
  std::ostringstream text;
  text.precision(12);
  text << describe(a) << ", element " << at << ": " << x[at] << " against " << y[at] << ", allowed " << allowed;
  return text.str();
}
}  // namespace

std::string difference(const Tensor& a, const Tensor& b, double relative, double floor) {
  return difference_beyond(a, b, relative, floor);
}
std::string inequality(const Tensor& a, const Tensor& b) { return difference_beyond(a, b, 0, 0); }

void expect_close(const Tensors& a, const Tensors& b, double relative, const std::string& what, double floor) {
  expect(a.size() == b.size(),
         what + ": " + std::to_string(a.size()) + " against " + std::to_string(b.size()) + " tensors");
  for (std::size_t i = 0; i < a.size(); ++i) {
    const std::string d = difference_beyond(a[i], b[i], relative, floor);
    expect(d.empty(), what + " " + std::to_string(i) + ": " + d);
  }
}
void expect_equal(const Tensors& a, const Tensors& b, const std::string& what) { expect_close(a, b, 0, what); }

void expect(bool holds, const std::string& what) {
  if (!holds) throw Refuted(what);
}

}  // namespace folio::testing
