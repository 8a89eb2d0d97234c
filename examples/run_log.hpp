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
  double accuracy = 0;       ///< share of next tokens predicted right
  double tokens_per_s = 0;
  double lr = 0;
  double grad_norm = 0;      ///< before clipping
  double max_vio = 0;        ///< (max load − mean)/mean, averaged over layers
  std::vector<std::int64_t> expert_counts;  ///< assignments over all layers in this step, per expert
};

/// Writes DIR/metrics.jsonl and the log that people read:
///
///     Step 100: Loss 5.2710 | Acc 0.1520 | TPS 12500.45
///       Top Experts: [1, 4, 7] (Counts: [120, 115, 110])
///       LR 3.00e-04 | Grad 0.842 | MaxVio 0.31 | Val 5.3120
///
/// On a terminal a progress bar with the time left stands below it.
class RunLog {
 public:
  RunLog(const std::filesystem::path& folder, std::int64_t steps);
  ~RunLog();

  void step(const StepMetrics& metrics);
  void validation(std::int64_t step, double loss, double max_vio);
  void progress(std::int64_t step, double loss);
  void sample(std::int64_t step, const std::string& text);

 private:
  void row(const std::string& json);
  void clear_bar();

  std::filesystem::path path_;
  std::ofstream file_;
  std::int64_t steps_;
  std::optional<double> validation_;
  std::chrono::steady_clock::time_point start_, drawn_;
  bool terminal_;
  bool bar_shown_ = false;
};

}  // namespace folio::examples
