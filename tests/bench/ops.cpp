#include <chrono>

#include "autograd/profile.hpp"
#include "tests/bench/benchmarks.hpp"
#include "tests/bench/work.hpp"

namespace folio::bench {
namespace {

using Clock = std::chrono::steady_clock;
double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// A work's inputs, and the gradients to send back through it.
struct Trial {
  explicit Trial(const Work& work) : f(work.f) {
    Source source;
    inputs = work.inputs(source);
    for (Tensor& x : inputs) {
      if (is_float(x.dtype())) x.requires_grad(true);
    }
    for (const Tensor& y : f(inputs)) gradients.push_back(ones(y.shape(), y.options()));
  }

  struct Seconds {
    double forward, backward;
  };
  Seconds run() {
    for (Tensor& x : inputs) {
      if (x.requires_grad()) x.zero_grad();
    }
    Tape tape;
    const auto start = Clock::now();
    const Tensors y = f(inputs);
    const double forward = since(start);
    const auto turn = Clock::now();
    tape.backward(y, gradients);
    return {forward, since(turn)};
  }

  const Function& f;
  Tensors inputs, gradients;
};

Cost cost_of(Trial& trial, const char* op, bool backward) {
  const Profile profile;
  ProfileSection part;
  part.next("once");
  trial.run();
  part.end();
  return profile.total(backward ? Span::Kind::backward : Span::Kind::forward, op).cost;
}

void run_op(benchmark::State& state, const char* op, const Work& work, bool backward, const Ceilings& ceilings) {
  Trial trial(work);
  const Cost cost = cost_of(trial, op, backward);
  double seconds = 0;
  for ([[maybe_unused]] auto _ : state) {
    const auto both = trial.run();
    const double one = backward ? both.backward : both.forward;
    state.SetIterationTime(one);
    seconds += one;
  }
  const auto runs = static_cast<double>(state.iterations());
  set_rate(state, ceilings, {runs * cost.flops, runs * cost.bytes}, seconds);
}

}  // namespace

void set_rate(benchmark::State& state, const Ceilings& ceilings, const Cost& cost, double seconds) {
  const bool multiplies = cost.flops > 0;
  const double rate = (multiplies ? cost.flops : cost.bytes) / seconds;
  state.counters[multiplies ? "GFLOP/s" : "GB/s"] = rate / 1e9;
  state.counters["share"] = rate / (multiplies ? ceilings.product_in_use() : ceilings.copy);
}

void register_ops(const std::string& preset_name, const Ceilings& ceilings) {
  const examples::Preset preset = measured_preset(preset_name);
  const Sizes sizes = {preset.model, preset.training.batch};
  for (const OpWork& op : all_work()) {
    for (const Work& work : op.make(sizes)) {
      for (const bool backward : {false, true}) {
        const std::string name = std::string("op/") + op.op + (work.name.empty() ? "" : "/" + work.name) + "/" +
                                 preset_name + (backward ? "/backward" : "/forward");
        benchmark::RegisterBenchmark(
            name.c_str(), [=, &ceilings](benchmark::State& state) { run_op(state, op.op, work, backward, ceilings); })
            ->UseManualTime()
            ->Unit(benchmark::kMicrosecond);
      }
    }
  }
}

}  // namespace folio::bench
