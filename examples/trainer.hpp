#pragma once
#include <functional>

#include "data/batches.hpp"
#include "data/corpus.hpp"
#include "examples/run_log.hpp"
#include "examples/settings.hpp"
#include "nn/deepseek_lm.hpp"
#include "optim/adamw.hpp"
#include "optim/clip.hpp"
#include "optim/schedule.hpp"

namespace folio::examples {

/// The full sweep of `tokens`, `batch` windows of the model's context at a time; `progress(windows, of)` as it goes.
Validation validate(DeepSeekLM& model, const std::vector<std::int32_t>& tokens, std::int64_t batch,
                    const std::function<void(std::int64_t, std::int64_t)>& progress = {});

/// The training loop: micro-batches → gradients → clipping → AdamW → router bias → validation where it is due, and what of
/// it is worth telling.
class Trainer {
 public:
  Trainer(DeepSeekLM& model, const data::Corpus& corpus, const TrainSettings& settings, RunLog& log);

  /// Runs every step; `after_step(n)` is called once step n (from 1) is done.
  template <class AfterStep>
  void run(AfterStep&& after_step) {
    for (std::int64_t n = 1; n <= settings_.steps; ++n) {
      step(n);
      after_step(n);
    }
  }

 private:
  void step(std::int64_t n);

  DeepSeekLM& model_;
  const std::vector<std::int32_t>& validation_;
  TrainSettings settings_;
  RunLog& log_;
  data::RandomBatches batches_;
  optim::AdamW optimizer_;
  optim::Schedule schedule_;
  double window_seconds_ = 0;  ///< spent in steps since the last log line: validation and samples are not counted
  std::int64_t window_tokens_ = 0;
};

}  // namespace folio::examples
