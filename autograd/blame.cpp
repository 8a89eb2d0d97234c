#include "autograd/blame.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include "autograd/fault.hpp"
#include "autograd/tape.hpp"

namespace folio::detail {
namespace {

using Values = std::vector<double>;

/// What the ops of one run made, and, if it was walked backward, what each entry received and returned.
struct Trace {
  struct Step {
    std::string op;
    std::vector<Values> outputs;
    std::vector<std::shared_ptr<GradientSlot>> output_slots, input_slots;
    std::vector<Values> received, returned;
  };
  std::vector<Step> steps;
  std::size_t walked = 0;
};

thread_local Trace* trace = nullptr;
thread_local fault::Hook planted;  // what tests have planted stays in effect

Values values_of(const Tensor& x) { return x.defined() && is_float(x.dtype()) ? x.to_vector() : Values{}; }

std::vector<Values> values_of(const Tensors& xs) {
  std::vector<Values> all;
  for (const Tensor& x : xs) all.push_back(values_of(x));
  return all;
}

Trace::Step& step_of(const Entry& entry) {
  const auto made = [&](const Trace::Step& s) { return s.output_slots == entry.outputs; };
  return *std::find_if(trace->steps.rbegin(), trace->steps.rend(), made);
}

/// Traces what runs while it is in scope.
class Tracing {
 public:
  explicit Tracing(Trace& into) {
    planted = fault::hook;
    trace = &into;
    fault::hook = {[](Entry& e, const Tensors& outputs) {
                     if (planted.recorded) planted.recorded(e, outputs);
                     trace->steps.push_back({e.op.text, values_of(outputs), e.outputs, e.inputs, {}, {}});
                   },
                   [](Entry& e, Tensors& output_gradients) {
                     step_of(e).received = values_of(output_gradients);
                     if (planted.before) planted.before(e, output_gradients);
                   },
                   [](Entry& e, Tensors& input_gradients) {
                     if (planted.after) planted.after(e, input_gradients);
                     step_of(e).returned = values_of(input_gradients);
                   }};
  }
  ~Tracing() {
    fault::hook = planted;
    trace = nullptr;
  }
  Tracing(const Tracing&) = delete;
  Tracing& operator=(const Tracing&) = delete;
};

Trace run_at(const Blame& blame, double distance) {
  blame.move_to(distance);
  Trace made;
  const Tracing tracing(made);
  const Tape tape;
  blame.f();
  return made;
}

Values richardson(const Values& wide_plus, const Values& wide_minus, const Values& near_plus, const Values& near_minus,
                  double h) {
  Values tangent(wide_plus.size());
  for (std::size_t i = 0; i < tangent.size(); ++i) {
    tangent[i] = (4 * (near_plus[i] - near_minus[i]) / h - (wide_plus[i] - wide_minus[i]) / (2 * h)) / 3;
  }
  return tangent;
}

/// ⟨a, b⟩, and the sum of the magnitudes in it.
void add_product(const Values& a, const Values& b, double& total, double& scale) {
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    total += a[i] * b[i];
    scale += std::abs(a[i] * b[i]);
  }
}

}  // namespace

std::string faulty_op(const Blame& blame) {
  const double h = blame.step;
  const Trace at[4] = {run_at(blame, h), run_at(blame, -h), run_at(blame, h / 2), run_at(blame, -h / 2)};
  blame.move_to(0);
  Trace origin;
  {
    const Tracing tracing(origin);
    Tape tape;
    blame.backward_of(blame.f());
  }
  std::map<const GradientSlot*, Values> tangents;
  for (std::size_t i = 0; i < blame.leaves.size(); ++i) tangents[blame.leaves[i].slot().get()] = blame.direction[i];

  std::string worst;
  double worst_ratio = 1e-7;
  for (std::size_t s = 0; s < origin.steps.size(); ++s) {
    const Trace::Step& step = origin.steps[s];
    double out = 0, in = 0, scale = 0;
    for (const Trace& t : at) {
      if (t.steps.size() != origin.steps.size() || t.steps[s].outputs.size() != step.outputs.size()) return "";
    }
    for (std::size_t i = 0; i < step.outputs.size(); ++i) {
      if (!step.output_slots[i]) continue;
      const Values tangent = richardson(at[0].steps[s].outputs[i], at[1].steps[s].outputs[i], at[2].steps[s].outputs[i],
                                        at[3].steps[s].outputs[i], h);
      if (i < step.received.size()) add_product(step.received[i], tangent, out, scale);
      tangents[step.output_slots[i].get()] = tangent;
    }
    for (std::size_t i = 0; i < step.returned.size(); ++i) {
      if (step.input_slots[i]) add_product(step.returned[i], tangents[step.input_slots[i].get()], in, scale);
    }
    const double ratio = std::abs(out - in) / std::max(scale, 1e-300);
    if (std::isnan(ratio) || ratio > worst_ratio) {
      worst = step.op + " (entry " + std::to_string(s + 1) + " of " + std::to_string(origin.steps.size()) + ")";
      if (std::isnan(ratio)) break;
      worst_ratio = ratio;
    }
  }
  return worst;
}

}  // namespace folio::detail
