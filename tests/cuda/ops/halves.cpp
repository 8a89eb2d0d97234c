// In 16 bits a device gives what the CPU gives. Both compute in float32 and round once, so that results are the same or
// neighbours, save for float32's own error. That is measured, and multiplied, as the property of precision does it: by what
// a change of every input and cotangent in float32's last bit does to the float64 result. Neighbours are few: float32's
// error, some 2^-20, must lie across the border between them, which are 2^-7 or 2^-10 apart; half of all elements would be
// neighbours where something were cut off instead of rounded, or rounded twice. A gradient is a function of what forward
// saved, too: of a result that is a neighbour, it is another gradient, by as much as that result weighs in it, which may be
// many steps. So the CPU's backward gets the device's results. It attends by Eigen, too: by oneDNN, attention rounds its
// probabilities where the processor multiplies bfloat16s, which the device never does.
#include "tests/cuda/ops/halves.hpp"

#include <algorithm>
#include <cmath>
#include <sstream>
#include <string>

#include "tests/autograd/properties/compare.hpp"
#include "tests/cuda/ops/under_test.hpp"
#include "tests/using_provider.hpp"

namespace folio::testing {
namespace {

Tensors converted(const Tensors& xs, DType dtype, Device device) {
  Tensors all;
  for (const Tensor& x : xs) {
    const bool holds_values = x.defined() && is_float(x.dtype());
    all.push_back(!x.defined() ? x : (holds_values ? x.to(dtype) : x).to(device));
  }
  return all;
}
Tensors on_cpu(const Tensors& xs) {
  Tensors all;
  for (const Tensor& x : xs) all.push_back(x.defined() ? x.to(Device::cpu) : x);
  return all;
}
/// Each like its neighbour in `like`.
Tensors converted(const Tensors& xs, const Tensors& like) {
  Tensors all;
  for (std::size_t i = 0; i < xs.size(); ++i) {
    all.push_back(xs[i].defined() ? xs[i].to(Device::cpu).to(like[i].dtype()).to(like[i].device()) : Tensor());
  }
  return all;
}
Tensors joined(const Run& run) {
  Tensors all = on_cpu(run.outputs);
  for (const Tensor& g : on_cpu(run.gradients)) all.push_back(g);
  return all;
}

Tensors jittered(const Tensors& xs, Draw& draw) {
  Tensors all;
  for (const Tensor& x : xs) {
    const bool moves = x.defined() && is_float(x.dtype());
    all.push_back(moves ? x * (draw.uniform(x.shape(), -0x1p-24, 0x1p-24) + 1).to(x.dtype()).to(x.device()) : x);
  }
  return all;
}

/// From `x` to the next number of its dtype, at most; nothing where results are not rounded to 16 bits.
double step(double x, DType dtype) {
  if (dtype == DType::bfloat16) return std::max(std::abs(x) * 0x1p-7, 0x1p-133);
  if (dtype == DType::float16) return std::max(std::abs(x) * 0x1p-10, 0x1p-24);
  return 0;
}

/// Empty if `got` is `want`, save for numbers no further apart than `error` and few that are neighbours besides.
std::string difference_in_steps(const Tensor& got, const Tensor& want, double error) {
  if (!(got.shape() == want.shape()) || got.dtype() != want.dtype())
    return describe(got) + " against " + describe(want);
  const std::vector<double> a = got.to_vector(), b = want.to_vector();
  std::size_t neighbours = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double apart = std::abs(a[i] - b[i]);
    if (a[i] == b[i] || apart <= error || (std::isnan(a[i]) && std::isnan(b[i]))) continue;
    ++neighbours;
    if (apart <= error + step(std::max(std::abs(a[i]), std::abs(b[i])), got.dtype())) continue;
    std::ostringstream text;
    text << describe(got) << ", element " << i << ": " << a[i] << " against " << b[i] << ", float32's error " << error;
    return text.str();
  }
  if (neighbours <= 2 + a.size() / 20) return "";
  return std::to_string(neighbours) + " of " + describe(got) + " are neighbours of what they are on the CPU";
}

void compare(Trial& t, DType dtype) {
  const Function& f = t.problem.f;
  const Tensors given = on_cpu(t.problem.inputs);
  const Tensors here = converted(given, dtype, Device::cpu), there = converted(here, dtype, under_test::device);
  const Tensors exact = converted(here, DType::float64, Device::cpu);
  const Tensors outputs = evaluate(f, here), outputs_there = evaluate(f, there), exact_outputs = evaluate(f, exact);
  const Tensors v = converted(random_cotangents(outputs, t.draw), outputs);
  const Tensors w = converted(v, exact_outputs);
  const Run run_there = vjp(f, there, converted(v, outputs_there));
  Run run_here = vjp(f, here, v, all_floats(here), on_cpu(run_there.outputs));
  run_here.outputs = outputs;
  const Tensors want = joined(run_here), got = joined(run_there);
  const Tensors wide = converted(joined(vjp(f, exact, w)), DType::float64, Device::cpu);
  std::vector<double> effect(got.size(), 0.0);
  for (int round = 0; round < 3; ++round) {
    const Tensors moved = joined(vjp(f, jittered(exact, t.draw), jittered(w, t.draw)));
    for (std::size_t i = 0; i < got.size(); ++i) {
      if (got[i].defined() && is_float(got[i].dtype()))
        effect[i] = std::max(effect[i], largest(moved[i].to(DType::float64) - wide[i]));
    }
  }
  const double operand = largest(exact), upstream = largest(w);
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (!got[i].defined()) continue;
    const bool output = i < outputs.size();
    const double error = 40 * effect[i] + 0x1p-24 * (40 * largest(wide[i]) + 16 * (output ? operand : upstream));
    const std::string d = difference_in_steps(got[i], want[i], error);
    expect(d.empty(), std::string(name_of(dtype)) + ", " + (output ? "output " : "gradient ") +
                          std::to_string(output ? i : i - outputs.size()) + ": " + d);
  }
  ++t.checked;
}

void check(Trial& t) {
  const bool attends = std::string(t.op_case.op) == "causal_attention";
  const Using it(attends ? GemmProvider::eigen : gemm_provider());
  for (const DType dtype : {DType::bfloat16, DType::float16}) compare(t, dtype);
}

}  // namespace

const Property& property_halves() {
  static const Property property = {
      .name = "Halves", .claim = "16-bit floats give what they give on the CPU", .check = check};
  return property;
}

}  // namespace folio::testing
