#include "autograd/profile.hpp"
#include "tests/bench/benchmarks.hpp"
#include "tests/bench/work.hpp"

namespace folio::bench {
namespace {

int failed = 0;

/// A work's inputs, and the gradients to send back through it.
struct Trial {
  Trial(const Work& work, const Place& place) : f(work.f), watch(place) {
    Source source(place);
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
    watch.begin();
    const Tensors y = f(inputs);
    watch.lap();
    tape.backward(y, gradients);
    watch.lap();
    return {watch.seconds(0), watch.seconds(1)};
  }

  const Function& f;
  Stopwatch watch;
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

void run_op(benchmark::State& state, const char* op, const Work& work, bool backward, const Place& place) {
  Trial trial(work, place);
  const Cost cost = cost_of(trial, op, backward);
  double seconds = 0;
  for ([[maybe_unused]] auto _ : state) {
    const auto both = trial.run();
    const double one = backward ? both.backward : both.forward;
    state.SetIterationTime(one);
    seconds += one;
  }
  const auto runs = static_cast<double>(state.iterations());
  set_rate(state, place, {runs * cost.flops, runs * cost.bytes}, seconds);
}

}  // namespace

benchmark::internal::Benchmark* add_benchmark(const std::string& name, std::function<void(benchmark::State&)> run) {
  return benchmark::RegisterBenchmark(name.c_str(), [run = std::move(run)](benchmark::State& state) {
    try {
      run(state);
    } catch (const Error& error) {
      state.SkipWithError(error.what());
      ++failed;
    }
  });
}

int failed_benchmarks() { return failed; }

void set_rate(benchmark::State& state, const Place& place, const Cost& cost, double seconds) {
  const bool multiplies = cost.flops > 0;
  const double rate = (multiplies ? cost.flops : cost.bytes) / seconds;
  state.counters[multiplies ? "GFLOP/s" : "GB/s"] = rate / 1e9;
  set_share(state, rate, multiplies ? place.ceilings.product_in_use() : place.ceilings.copy);
}

void set_share(benchmark::State& state, double rate, double ceiling) {
  if (ceiling > 0) state.counters["share"] = rate / ceiling;
}

void register_ops(const std::string& preset_name, const Place& place) {
  const examples::Preset preset = measured_preset(preset_name, place);
  const Sizes sizes = {preset.model, preset.training.batch};
  for (const OpWork& op : all_work()) {
    for (const Work& work : op.make(sizes)) {
      for (const bool backward : {false, true}) {
        const std::string name = std::string("op/") + op.op + (work.name.empty() ? "" : "/" + work.name) + "/" +
                                 preset_name + (backward ? "/backward" : "/forward");
        auto* const added =
            add_benchmark(name, [=, &place](benchmark::State& state) { run_op(state, op.op, work, backward, place); });
        added->UseManualTime()->Unit(benchmark::kMicrosecond);
        // Most of a run there comes before the op and is not timed, so that a time to reach would take minutes.
        if (place.device == Device::cuda) added->Iterations(100);
      }
    }
  }
}

}  // namespace folio::bench
