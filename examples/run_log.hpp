#pragma once
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <vector>

#include <chrono>

namespace folio::examples {

/// What one optimizer step showed.
struct StepMetrics {
  std::int64_t step = 0;
  double loss = 0;
  double accuracy = 0;  ///< share of next tokens predicted right
  double tokens_per_s = 0;
  double lr = 0;
  double grad_norm = 0;                     ///< before clipping
  double max_vio = 0;                       ///< (max load − mean)/mean, averaged over layers
  std::vector<std::int64_t> expert_counts;  ///< assignments over all layers in this step, per expert
};

/// One full sweep of the validation text without overlap.
struct Validation {
  double loss = 0;     ///< mean nats per token
  double max_vio = 0;  ///< of the sweep's expert loads
  std::int64_t windows = 0;
};

/// Writes DIR/metrics.jsonl and the log that people read:
///
///     Step 100: Loss 5.2710 | Acc 0.1520 | TPS 12500.45
///       Top Experts: [1, 4, 7] (Counts: [120, 115, 110])
///       LR 3.00e-04 | Grad 0.842 | MaxVio 0.31 | Val 5.3120
///
/// Val is this step's sweep, `5.3120 @50` that of step 50 where it is older, `-` where there has been none. On a terminal a
/// progress bar with the time left stands below it. A row that cannot be written (a full disk) is a warning on stderr, once,
/// and the run goes on.
class RunLog {
 public:
  RunLog(const std::filesystem::path& folder, std::int64_t steps);
  ~RunLog();

  /// Takes the loss of every step.
  void progress(std::int64_t step, double loss);
  /// Takes how far a sweep has come.
  void sweeping(std::int64_t windows, std::int64_t of);
  /// Writes a step, and the sweep that followed it. Says so where validation gets worse while training gets better.
  void step(const StepMetrics& metrics, const std::optional<Validation>& validation = std::nullopt);
  /// Says that a step's gradients overflowed float16 and left the weights alone.
  void skipped(std::int64_t step, double loss_scale, std::int64_t so_far);
  void sample(std::int64_t step, const std::string& text);
  /// Says that the run has ended before its last step, and what has become of its weights.
  void stopped(std::int64_t step, const std::string& weights);

 private:
  /// A sweep, and the mean training loss since the one before.
  struct Sweep {
    std::int64_t step = 0;
    double loss = 0;
    double training = 0;
  };

  void row(const std::string& json);
  void validated(std::int64_t step, const Validation& validation);
  void bar(double done, const std::string& text);
  void clear_bar();

  std::filesystem::path path_;
  std::ofstream file_;
  std::int64_t steps_;
  std::optional<Sweep> last_, best_;
  double losses_ = 0;  ///< summed since the last sweep, over so many steps:
  std::int64_t losses_of_ = 0;
  std::chrono::steady_clock::time_point start_, drawn_;
  bool terminal_;
  bool bar_shown_ = false;
  bool row_failed_ = false;
};

}  // namespace folio::examples
