// Kernels that no op records: the optimizers', the average of the weights, clipping, and what sorts rows by expert.
#include <functional>
#include <memory>

#include "autograd/autograd.hpp"
#include "nn/deepseek_lm.hpp"
#include "optim/adamw.hpp"
#include "optim/clip.hpp"
#include "optim/ema.hpp"
#include "optim/muon.hpp"
#include "optim/sgd.hpp"
#include "tests/bench/benchmarks.hpp"
#include "tests/bench/work.hpp"

namespace folio::bench {
namespace {

using examples::Preset;

/// What is timed, and the bytes that its kernels move.
struct Task {
  std::function<void()> run;
  double bytes;
};

/// The parameters of a preset's model, each with a gradient.
class Trained {
 public:
  Trained(const Preset& preset, const Place& place) : model_(preset.model, generator_, {DType::float32, place.device}) {
    for (const Parameter& p : parameters_) {
      gradients_.push_back(full(p.value.shape(), 1e-3, p.value.options()));
      elements_ += static_cast<double>(p.value.numel());
    }
    give_gradients();
  }

  /// Those that a step has consumed.
  void give_gradients() {
    for (std::size_t i = 0; i < parameters_.size(); ++i) parameters_[i].value.set_grad(gradients_[i]);
  }
  const Parameters& parameters() const { return parameters_; }
  /// Of so many passes over all parameters.
  double bytes(int passes) const { return passes * elements_ * sizeof(float); }

 private:
  Generator generator_{1};
  DeepSeekLM model_;
  Parameters parameters_ = model_.parameters();
  Tensors gradients_;
  double elements_ = 0;
};

/// Steps with a factor that is on the device already.
template <class Optimizer, class Options>
Task steps(const Preset& preset, const Place& place, const Options& options, int passes) {
  const auto trained = std::make_shared<Trained>(preset, place);
  const auto optimizer = std::make_shared<Optimizer>(trained->parameters(), options);
  const auto clipped = optim::clip_by_global_norm(trained->parameters(), 1e9);
  return {[=] {
            trained->give_gradients();
            optimizer->step(clipped);
          },
          trained->bytes(passes)};
}

/// Reads value, gradient and two moments, and writes all but the gradient.
Task adamw(const Preset& preset, const Place& place) {
  return steps<optim::AdamW>(preset, place, optim::AdamWOptions{.lr = 1e-4}, 7);
}

/// Reads value, gradient and momentum, and writes all but the gradient.
Task sgd(const Preset& preset, const Place& place) {
  return steps<optim::SGD>(preset, place, optim::SGDOptions{.lr = 1e-4, .momentum = 0.9}, 5);
}

/// Reads value, gradient and momentum, and writes all but the gradient; what the iterations multiply and move is not
/// counted. For what Muon does not take, AdamW's.
Task muon(const Preset& preset, const Place& place) {
  const examples::TrainSettings& s = preset.training;
  return steps<optim::Muon>(
      preset, place,
      optim::MuonOptions{
          .lr = 1e-4, .iterations = s.muon_iterations, .block_rows = s.muon_block, .others = {.lr = 1e-4}},
      5);
}

/// Reads average and value, and writes the average.
Task ema(const Preset& preset, const Place& place) {
  const auto trained = std::make_shared<Trained>(preset, place);
  const auto averages = std::make_shared<optim::EMA>(trained->parameters(), 0.99);
  return {[=] { averages->update(); }, trained->bytes(3)};
}

/// Squared norms, which read the gradients, and the factor, whose bytes are none beside them.
Task clip(const Preset& preset, const Place& place) {
  const auto trained = std::make_shared<Trained>(preset, place);
  return {[=] { benchmark::DoNotOptimize(optim::clip_by_global_norm(trained->parameters(), 1)); }, trained->bytes(1)};
}

/// Counts, prefix sums and the permutation: reads the choices twice and writes two indices of each. The counts by chunk
/// stay in cache.
Task sort_rows(const Preset& preset, const Place& place) {
  const Sizes sizes = {preset.model, preset.training.batch};
  const std::int64_t experts = preset.model.num_routed_experts;
  const Tensor chosen = Source(place).indices({sizes.tokens(), preset.model.num_active_experts}, experts);
  return {[=] { benchmark::DoNotOptimize(route(chosen, experts)); }, 16.0 * static_cast<double>(sizes.rows())};
}

void run_task(benchmark::State& state, const Task& task, const Place& place) {
  Stopwatch watch(place);
  task.run();
  double seconds = 0;
  for ([[maybe_unused]] auto _ : state) {
    watch.begin();
    task.run();
    watch.lap();
    state.SetIterationTime(watch.seconds(0));
    seconds += watch.seconds(0);
  }
  set_rate(state, place, {0, static_cast<double>(state.iterations()) * task.bytes}, seconds);
}

}  // namespace

void register_updates(const std::string& name, const Place& place) {
  if (is_half(place.dtype)) return;
  const auto add = [&, preset = measured_preset(name, place)](const std::string& task,
                                                              Task (*make)(const Preset&, const Place&)) {
    auto* const added =
        add_benchmark(task, [=, &place](benchmark::State& state) { run_task(state, make(preset, place), place); });
    added->UseManualTime()->Unit(benchmark::kMicrosecond);
    if (place.device == Device::cuda) added->Iterations(100);  // for the reason that ops have
  };
  add("update/adamw/" + name, adamw);
  add("update/sgd/" + name, sgd);
  add("update/muon/" + name, muon);
  add("update/ema/" + name, ema);
  add("update/clip/" + name, clip);
  add("routing/" + name + "/sort", sort_rows);
}

}  // namespace folio::bench
