#pragma once
#include <functional>
#include <memory>
#include <optional>

#include "autograd/host_copy.hpp"
#include "data/batches.hpp"
#include "data/corpus.hpp"
#include "data/prefetched_batches.hpp"
#include "examples/run_log.hpp"
#include "examples/settings.hpp"
#include "nn/deepseek_lm.hpp"
#include "optim/clip.hpp"
#include "optim/ema.hpp"
#include "optim/loss_scaler.hpp"
#include "optim/optimizer.hpp"
#include "optim/schedule.hpp"

namespace folio::examples {

/// Training has led to weights that are of no use: they, or the loss that they give, are not finite.
struct Diverged : Error {
  using Error::Error;
};

/// The full sweep of `tokens`, `batch` windows of the model's context at a time. `goes_on(windows, of)` is asked after each
/// batch; nothing comes of a sweep that it ends.
std::optional<Validation> validate(DeepSeekLM& model, const std::vector<std::int32_t>& tokens, std::int64_t batch,
                                   const std::function<bool(std::int64_t, std::int64_t)>& goes_on = {});

/// The training loop: micro-batches → gradients → clipping → AdamW or Muon → router bias → validation where it is due, and what of
/// it is worth telling. In float16 the loss is scaled, and a step whose gradients overflow is counted and told, and skipped by
/// the optimizer: the router bias, which follows the loads, and the average move as in any other.
class Trainer {
 public:
  /// `stopped` says whether the run is to end before its last step.
  Trainer(
      DeepSeekLM& model, const data::Corpus& corpus, const TrainSettings& settings, RunLog& log,
      std::function<bool()> stopped = [] { return false; });

  /// Runs every step, `after_step(n)` once step n (from 1) is done. A gradient that is not finite, other than by float16's
  /// overflow, is an Error that names the step and the parameter, before it reaches a weight; a loss, weight or validation
  /// loss that is not is Diverged. The weights are finite when it returns. On a GPU a step that is not logged waits for
  /// nothing but the experts' loads, and its figures are looked at during the next.
  template <class AfterStep>
  void run(AfterStep&& after_step) {
    while (finished_ < settings_.steps && !stopped_()) {
      step(finished_ + 1);
      after_step(++finished_);
    }
    settle();
    require_finite_weights(finished_);
  }
  /// How many steps have been finished.
  std::int64_t finished() const { return finished_; }
  /// Calls f() with the weights that the run is about: their average where there is one, which steps in and out of the
  /// model for it.
  template <class F>
  auto with_averages(F&& f) {
    std::optional<optim::Averaged> now;
    if (ema_) now.emplace(*ema_);
    return f();
  }
  /// Diverged where a weight, after step n, is not finite.
  void require_finite_weights(std::int64_t n) const;

 private:
  /// What a step showed that may still be on its way from the device.
  struct Figures {
    std::int64_t step;
    double lr;
    std::vector<HostCopy> losses;  ///< of its micro-batches
    optim::Clipped clipped;

    double loss() const;
  };

  data::PrefetchedBatches batches_of(std::int64_t windows) const;
  /// Runs step n. An Error where it does not fit into the device's memory, with the largest batch that would.
  void step(std::int64_t n);
  void try_step(std::int64_t n);
  /// The most windows per micro-batch that fit where `reach` bytes can be held, by what one and two took; tried, too. 0
  /// where not even one does. Gradients and statistics are lost.
  std::int64_t largest_batch(std::size_t reach);
  /// Adds the gradients of the step's micro-batches up, each loss times loss_scale(), and returns the losses. `logged` gets
  /// their accuracy. Settles the step before, on which that scale depends.
  std::vector<HostCopy> gradients(std::int64_t n, StepMetrics* logged);
  double loss_scale() const { return scaler_ ? scaler_->scale() : 1; }
  /// Returns whether the gradients of the step with these figures move the weights. In float16 they do not where they
  /// overflow, which is told and lowers the loss scale. Throws what a loss, or any other gradient, that is not finite deserves.
  bool judge(const Figures& figures);
  /// Judges and shows the step before, where that has not been done yet. A step that the device itself has kept from the
  /// weights no longer counts among the optimizer's.
  void settle();

  DeepSeekLM& model_;
  const std::vector<std::int32_t>& validation_;
  TrainSettings settings_;
  RunLog& log_;
  std::function<bool()> stopped_;
  const std::vector<std::int32_t>& tokens_;
  data::PrefetchedBatches batches_;
  std::unique_ptr<optim::Optimizer> optimizer_;
  std::optional<optim::EMA> ema_;
  optim::Schedule schedule_;
  std::optional<optim::LossScaler> scaler_;  ///< where activations are float16
  double window_seconds_ = 0;  ///< spent in steps since the last log line: validation and samples are not counted
  std::int64_t window_tokens_ = 0;
  std::int64_t finished_ = 0;
  std::optional<Figures> unsettled_;
};

}  // namespace folio::examples
