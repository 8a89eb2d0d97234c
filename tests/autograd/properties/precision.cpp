// 8. float32 and the 16-bit floats are near float64, on every device. One table of tolerances; how far float32 may stray is measured rather than
// guessed: where inputs and cotangents wrong in their last bit move the float64 result by δ, float32 may be wrong by a
// multiple of δ, which covers ill-conditioned inputs and sums of many terms alike.
#include <algorithm>
#include <cmath>

#include "autograd/backend.hpp"
#include "tests/autograd/properties/compare.hpp"

namespace folio::testing {
namespace {

struct Place {
  Device device;
  DType dtype;
};
/// Where every op must agree with float64 on the CPU: in every smaller float, and in every float on each other device of
/// the program.
std::vector<Place> places() {
  constexpr DType smaller[] = {DType::float32, DType::bfloat16, DType::float16};
  std::vector<Place> all;
  for (const DType dtype : smaller) all.push_back({Device::cpu, dtype});
  for (Device device : {Device::cuda, Device::cuda_emulated}) {
    try {
      if (&backend(device) == &backend(Device::cpu)) continue;  // a stand-in
      all.push_back({device, DType::float64});
      for (const DType dtype : smaller) all.push_back({device, dtype});
    } catch (const Error&) {  // not in this program
    }
  }
  return all;
}

struct Tolerance {
  DType dtype;
  double last_bit;      ///< half a unit in the last place, relative
  double conditioning;  ///< times the measured effect of such an error in every input
  double own;           ///< times last_bit times the largest result: what an op adds by itself
  double operands;      ///< times last_bit times the largest input, or, for gradients, the largest cotangent
};
constexpr Tolerance tolerances[] = {
    // 40: the largest of three random effects underestimates the worst one, and an op rounds some ten times on the way
    // (exp, division, partial sums). 40 of its own: results near 1 made of a dozen roundings, as the polynomials of exp
    // and tanh are. 16 of its operands: gelu's x·(1 + erf), cross-entropy's x − max − log Σ and p − 1, softmax's
    // p·(dy − Σ p·dy) and rms_norm's 1 − x² subtract numbers of that size, and the result may be far smaller.
    {DType::float32, 0x1p-24, 40, 40, 16},
    // The same reasons; used by devices other than the CPU.
    {DType::float64, 0x1p-53, 40, 40, 16},
    // Computed in float32 and rounded once: 2 of its own. Roundings on the way are those of what an op saves (its result,
    // as exp, softmax and attention do: the effect is measured with results wrong in their last bit, too) and of gradients
    // that pass through several kernels, each the size of the measured effect or of the upstream gradient; and those of
    // attention's probabilities, no larger than a result's, since they add up to 1.
    {DType::bfloat16, 0x1p-8, 2, 2, 1},
    {DType::float16, 0x1p-11, 2, 2, 1},
};

const Tolerance& tolerance_of(DType dtype) {
  return *std::find_if(std::begin(tolerances), std::end(tolerances),
                       [&](const Tolerance& t) { return t.dtype == dtype; });
}

Tensors converted(const Tensors& xs, const Place& place) {
  Tensors all;
  for (const Tensor& x : xs) {
    if (!x.defined()) {
      all.push_back(x);
    } else {
      const Tensor there = x.to(place.device);
      all.push_back(is_float(x.dtype()) ? there.to(place.dtype) : there);
    }
  }
  return all;
}
/// On the CPU, floats as float64.
Tensors reference(const Tensors& xs) { return converted(xs, {Device::cpu, DType::float64}); }

Tensors jittered(const Tensors& xs, double relative, Draw& draw) {
  Tensors all;
  for (const Tensor& x : xs) {
    const bool moves = x.defined() && is_float(x.dtype());
    if (!moves) {
      all.push_back(x);
      continue;
    }
    const Tensor factor = (draw.uniform(x.shape(), -relative, relative) + 1).to(x.dtype());
    all.push_back(x * factor.to(x.device()));
  }
  return all;
}

/// The discrete choices that f records at these inputs, one after another.
std::vector<double> choices(const Function& f, const Tensors& inputs) {
  Tensors leaves;
  for (const Tensor& x : inputs) {
    leaves.push_back(x.defined() ? x.detach() : x);
    if (x.defined() && is_float(x.dtype())) leaves.back().requires_grad(true);
  }
  const Tape tape;
  f(leaves);
  std::vector<double> all;
  for (const Tensor& c : tape.discrete_choices()) {
    for (double v : c.to_vector()) all.push_back(v);
  }
  return all;
}

void compare(Trial& t, const Place& place) {
  const Function& f = t.problem.f;
  const Tolerance& tolerance = tolerance_of(place.dtype);
  const Tensors inputs = converted(t.problem.inputs, place);
  const Tensors outputs = evaluate(f, inputs);
  // What the place holds, upwards: both sides see the same numbers.
  const Tensors exact = reference(inputs);
  Tensors v = random_cotangents(outputs, t.draw);
  const Tensors exact_outputs = evaluate(f, exact);
  Tensors w;
  for (std::size_t i = 0; i < v.size(); ++i) {
    if (v[i].defined() && v[i].dtype() == DType::float64)
      v[i] = v[i].to(DType::float32).to(DType::float64);  // exact in float32
    const Options there = exact_outputs[i].options();
    w.push_back(v[i].defined() ? v[i].to(Device::cpu).to(there.dtype).to(there.device) : Tensor());
  }
  if (choices(f, inputs) != choices(f, exact)) {
    ++t.discarded;
    return;
  }
  const Run low = vjp(f, inputs, v), high = vjp(f, exact, w);
  const auto flat = [](const Run& r) {
    Tensors all = reference(r.outputs);
    for (const Tensor& g : reference(r.gradients)) all.push_back(g);
    return all;
  };
  const Tensors got = flat(low), wanted = flat(high);
  std::vector<double> effect(got.size(), 0.0);
  // In 16 bits, where the factor is small, of more: a sum's effect may by chance be far below its usual size in three.
  const int rounds = is_half(place.dtype) ? 6 : 3;
  for (int round = 0; round < rounds; ++round) {
    const Tensors nearby = jittered(exact, tolerance.last_bit, t.draw);
    const Tensors upwards = jittered(w, tolerance.last_bit, t.draw);
    Run moved = vjp(f, nearby, upwards);
    if (is_half(place.dtype)) {
      const Tensors saved = jittered(moved.outputs, tolerance.last_bit, t.draw);
      moved.gradients = vjp(f, nearby, upwards, all_floats(nearby), saved).gradients;
    }
    const Tensors there = flat(moved);
    for (std::size_t i = 0; i < got.size(); ++i) {
      if (there[i].defined() && is_float(there[i].dtype()))
        effect[i] = std::max(effect[i], largest(there[i] - wanted[i]));
    }
  }
  const double operand = largest(exact), upstream = largest(w);
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (!got[i].defined()) continue;
    const bool output = i < low.outputs.size();
    const double own = tolerance.own * largest(wanted[i]) + tolerance.operands * (output ? operand : upstream);
    const double allowed = tolerance.conditioning * effect[i] + tolerance.last_bit * own;
    const std::string d = difference(got[i], wanted[i], 0, allowed);
    expect(d.empty(), std::string(name_of(place.dtype)) + " on " + name_of(place.device) + ", " +
                          (output ? "output " : "gradient ") + std::to_string(output ? i : i - low.outputs.size()) +
                          ": " + d);
  }
  ++t.checked;
}

void check(Trial& t) {
  for (const Place& place : places()) compare(t, place);
}

}  // namespace

Property property_precision() {
  return {.name = "Precision", .claim = "every dtype and device is near float64 on the CPU", .check = check};
}

}  // namespace folio::testing
