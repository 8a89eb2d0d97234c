#include <chrono>
#include <cmath>
#include <set>

#include "autograd/autograd.hpp"
#include "data/batches.hpp"
#include "examples/optimizer.hpp"
#include "examples/presets.hpp"
#include "nn/deepseek_lm.hpp"
#include "optim/clip.hpp"
#include "tests/bench/benchmarks.hpp"
#include "tests/bench/work.hpp"

namespace folio::bench {
namespace {

using examples::Preset;

std::vector<std::int32_t> drawn_tokens(std::int64_t count, std::int64_t vocabulary) {
  const RandomStream draws{1, 0};
  std::vector<std::int32_t> tokens;
  for (std::int64_t i = 0; i < count; ++i) {
    tokens.push_back(static_cast<std::int32_t>(draws.uniform(i) * static_cast<double>(vocabulary)));
  }
  return tokens;
}

/// A model in training on drawn tokens.
class Training {
 public:
  Training(const Preset& preset, Device device)
      : preset_(preset),
        device_(device),
        tokens_(drawn_tokens(100'000, preset.model.vocab_size)),
        batches_(tokens_, preset.training.batch, preset.model.context, 1),
        model_(preset.model, generator_, {DType::float32, device}),
        optimizer_(examples::make_optimizer(model_, preset.training)) {
    optimizer_->set_lr(preset.training.lr / 100);  // nothing is to be learnt of drawn tokens
  }

  void step() {
    const data::Batch batch = batches_[steps_++];
    const Shape shape = {batch.batch, batch.context};
    Tape tape;
    const Tensor loss =
        model_.loss(from_indices(batch.inputs, shape).to(device_), from_indices(batch.targets, shape).to(device_));
    tape.backward(loss);
    require(std::isfinite(loss.item()), [] { return std::string("the loss is not finite, with which updates stop"); });
    optimizer_->step(optim::clip_by_global_norm(model_.parameters(), preset_.training.clip));
    model_.update_router_bias();
  }

  double tokens_per_step() const { return static_cast<double>(preset_.training.batch * preset_.model.context); }

 private:
  const Preset& preset_;
  Device device_;
  std::vector<std::int32_t> tokens_;
  data::RandomBatches batches_;
  Generator generator_{1};
  DeepSeekLM model_;
  std::unique_ptr<optim::Optimizer> optimizer_;
  std::int64_t steps_ = 0;
};

/// Runs the loop that is timed, and returns how many calls of `run` it made per second, until the device had done them.
template <class Run>
double calls_per_second(benchmark::State& state, const Place& place, Run&& run) {
  place.wait();
  const auto start = std::chrono::steady_clock::now();
  for ([[maybe_unused]] auto _ : state) run();
  place.wait();
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  return static_cast<double>(state.iterations()) / seconds.count();
}

void run_steps(benchmark::State& state, const Preset& preset, const Place& place) {
  Training training(preset, place.device);
  training.step();
  reset_peak_memory(place.device);
  const double tokens = training.tokens_per_step() * calls_per_second(state, place, [&] { training.step(); });
  const double flops = 6 * static_cast<double>(count_parameters(preset.model).active) * tokens;
  state.counters["tokens/s"] = tokens;
  state.counters["GFLOP/s"] = flops / 1e9;
  set_share(state, flops, place.ceilings.product_in_use());
  state.counters["peak_MiB"] = static_cast<double>(memory_statistics(place.device).peak) / (1 << 20);
}

template <class Run>
benchmark::internal::Benchmark* timed(const std::string& name, Run&& run) {
  return add_benchmark(name, std::forward<Run>(run))->UseRealTime();
}

/// What grows, and how a preset is told.
struct Axis {
  const char* name;
  std::int64_t (*get)(const Preset&);
  void (*set)(Preset&, std::int64_t);
  std::vector<double> factors;
};

const std::vector<Axis>& axes() {
  static const std::vector<Axis> all = {
      {"batch",
       [](const Preset& p) { return p.training.batch; },
       [](Preset& p, std::int64_t n) { p.training.batch = n; },
       {0.25, 0.5, 1, 2}},
      {"context",
       [](const Preset& p) { return p.model.context; },
       [](Preset& p, std::int64_t n) { p.model.context = n; },
       {0.25, 0.5, 1, 2}},
      {"layers",
       [](const Preset& p) { return p.model.num_hidden_layers; },
       [](Preset& p, std::int64_t n) { p.model.num_hidden_layers = n; },
       {0.5, 1, 2}},
      {"width",
       [](const Preset& p) { return p.model.hidden_size; },
       [](Preset& p, std::int64_t n) { p.model.hidden_size = n; },
       {0.5, 1, 2}},
      {"experts",
       [](const Preset& p) { return p.model.num_routed_experts; },
       [](Preset& p, std::int64_t n) { p.model.num_routed_experts = n; },
       {1, 2, 4, 8}},
  };
  return all;
}

/// Sets the number of threads while it lives.
class Threads {
 public:
  explicit Threads(int threads) { set_num_threads(threads); }
  ~Threads() { set_num_threads(before_); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

 private:
  int before_ = num_threads();
};

void run_decode(benchmark::State& state, const Preset& preset, std::int64_t position, const Place& place) {
  Generator generator(1);
  DeepSeekLM model(preset.model, generator, {DType::float32, place.device});
  model.to(place.dtype);
  model.eval();
  LatentCache cache = model.make_cache(1);
  const std::vector<std::int32_t> tokens = drawn_tokens(position, preset.model.vocab_size);
  if (position > 1)
    model.decode(from_indices(std::span(tokens).first(tokens.size() - 1), {1, position - 1}).to(place.device), cache,
                 true);
  const Tensor next = from_indices(std::span(tokens).last(1), {1, 1}).to(place.device);
  const double tokens_per_second = calls_per_second(state, place, [&] {
    benchmark::DoNotOptimize(model.decode(next, cache, true));
    for (std::int64_t i = 0; i < preset.model.num_hidden_layers; ++i) cache.layer(i).length = position - 1;
  });
  state.counters["tokens/s"] = tokens_per_second;
  const DeepSeekConfig& c = preset.model;
  const std::int64_t unread = c.tie_embeddings ? 0 : c.vocab_size * c.hidden_size;  // of a table one row is read
  const double weights =
      static_cast<double>(count_parameters(c).active - unread) * static_cast<double>(size_of(place.dtype));
  state.counters["GB/s"] = weights * tokens_per_second / 1e9;
  set_share(state, weights * tokens_per_second, place.ceilings.copy);
}

/// Σ_r weights[t, r]·expert(chosen[t, r])(x_t), a token at a time: what grouping rows by expert saves.
Tensor token_wise(const Experts& experts, const Tensor& x, const Tensor& chosen, const Tensor& weights) {
  const std::int64_t width = experts.down.dim(2), hidden = x.dim(1), k = chosen.dim(1);
  Tensors rows;
  for (std::int64_t t = 0; t < x.dim(0); ++t) {
    const Tensor row = x.slice(0, t, t + 1);  // (1, hidden)
    Tensor sum;
    for (std::int64_t r = 0; r < k; ++r) {
      const std::int64_t e = chosen.data<std::int32_t>()[t * k + r];
      const Tensor gate_up = experts.gate_up.slice(0, e, e + 1).reshape({2 * width, hidden});
      const Tensors halves = split(linear(row, gate_up), {width, width}, -1);
      const Tensor y = linear(swiglu(halves[0], halves[1]), experts.down.slice(0, e, e + 1).reshape({hidden, width}));
      const Tensor weighed = scale(y, weights.data<float>()[t * k + r]);
      sum = r == 0 ? weighed : sum + weighed;
    }
    rows.push_back(sum);
  }
  return concat(rows, 0);  // (tokens, hidden)
}

Tensor expert_wise(const Experts& experts, const Tensor& x, const Tensor& chosen, const Tensor& weights) {
  const Routing routing = route(chosen, experts.down.dim(0));
  return combine_rows(experts(dispatch_rows(x, routing), routing), weights, routing);
}

void run_routing(benchmark::State& state, const Preset& preset, decltype(&token_wise) compute, const Place& place) {
  const Options options{DType::float32, place.device};
  const DeepSeekConfig& c = preset.model;
  Generator generator(1);
  const Router router(c, generator, options);
  const Experts experts(c, generator, options, c.init_std);
  const std::int64_t tokens = preset.training.batch * c.context;
  const Tensor x = randn({tokens, c.hidden_size}, generator, options).to(place.dtype);
  const Gating gating = router(x);
  state.counters["tokens/s"] = static_cast<double>(tokens) * calls_per_second(state, place, [&] {
                                 benchmark::DoNotOptimize(compute(experts, x, gating.chosen, gating.weights));
                               });
}

}  // namespace

void register_step(const std::string& name, const Place& place) {
  timed("step/" + name, [preset = measured_preset(name, place), &place](benchmark::State& state) {
    run_steps(state, preset, place);
  })->Unit(benchmark::kMillisecond);
}

void register_growth(const std::string& name, const Place& place) {
  const Preset base = measured_preset(name, place);
  const auto add = [&](const char* axis, std::int64_t value, const Preset& preset, int threads) {
    timed("growth/" + name + "/" + axis + ":" + std::to_string(value), [=, &place](benchmark::State& state) {
      const Threads use(threads > 0 ? threads : num_threads());
      run_steps(state, preset, place);
    })->Unit(benchmark::kMillisecond);
  };
  for (const Axis& axis : axes()) {
    for (const double factor : axis.factors) {
      Preset preset = base;
      axis.set(preset, std::max<std::int64_t>(1, std::llround(factor * static_cast<double>(axis.get(base)))));
      add(axis.name, axis.get(preset), preset, 0);
    }
  }
  if (place.device != Device::cpu) return;
  for (int threads = 1; threads < num_threads(); threads *= 2) add("threads", threads, base, threads);
  add("threads", num_threads(), base, num_threads());
}

void register_decode(const std::string& name, const Place& place) {
  const Preset preset = measured_preset(name, place);
  std::set<std::int64_t> positions = {1};
  for (int quarter = 1; quarter <= 4; ++quarter) {
    positions.insert(std::max<std::int64_t>(1, quarter * preset.model.context / 4));
  }
  for (const std::int64_t position : positions) {
    timed("decode/" + name + "/position:" + std::to_string(position), [=, &place](benchmark::State& state) {
      run_decode(state, preset, position, place);
    })->Unit(benchmark::kMicrosecond);
  }
}

void register_routing(const std::string& name, const Place& place) {
  const Preset preset = measured_preset(name, place);
  for (const auto& [way, compute] : {std::pair("expert_wise", &expert_wise), {"token_wise", &token_wise}}) {
    if (compute == &token_wise && place.device != Device::cpu) continue;  // it reads the choices on the host
    timed("routing/" + name + "/" + way, [=, &place, compute = compute](benchmark::State& state) {
      run_routing(state, preset, compute, place);
    })->Unit(benchmark::kMillisecond);
  }
}

}  // namespace folio::bench
