#include "examples/run_log.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <nlohmann/json.hpp>
#include <numeric>

#include "autograd/error.hpp"

namespace folio::examples {
namespace {

using Clock = std::chrono::steady_clock;

std::string duration(double seconds) {
  const long s = std::lround(seconds);
  if (s < 60) return fmt::format("{}s", s);
  if (s < 3600) return fmt::format("{}m{:02}s", s / 60, s % 60);
  return fmt::format("{}h{:02}m", s / 3600, s % 3600 / 60);
}

}  // namespace

RunLog::RunLog(const std::filesystem::path& folder, std::int64_t steps)
    : path_(folder / "metrics.jsonl"), file_(path_), steps_(steps), start_(Clock::now()), terminal_(isatty(STDOUT_FILENO)) {
  require(file_.is_open(), [&] { return "cannot write " + path_.string() + ": choose a folder you may write with --out"; });
}

RunLog::~RunLog() { clear_bar(); }

void RunLog::row(const std::string& json) {
  file_ << json << '\n' << std::flush;
  require(file_.good(), [&] { return "writing " + path_.string() + " failed: is the disk full?"; });
}

void RunLog::step(const StepMetrics& m) {
  row(nlohmann::ordered_json{{"step", m.step},
                             {"loss", m.loss},
                             {"acc", m.accuracy},
                             {"tokens_per_s", m.tokens_per_s},
                             {"lr", m.lr},
                             {"grad_norm", m.grad_norm},
                             {"max_vio", m.max_vio},
                             {"expert_counts", m.expert_counts}}
          .dump());
  clear_bar();
  std::vector<std::size_t> order(m.expert_counts.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return m.expert_counts[a] > m.expert_counts[b]; });
  order.resize(std::min<std::size_t>(order.size(), 3));
  std::vector<std::int64_t> counts;
  counts.reserve(order.size());
  for (std::size_t e : order) counts.push_back(m.expert_counts[e]);
  std::cout << fmt::format("Step {}: Loss {:.4f} | Acc {:.4f} | TPS {:.2f}\n", m.step, m.loss, m.accuracy, m.tokens_per_s)
            << fmt::format("  Top Experts: [{}] (Counts: [{}])\n", fmt::join(order, ", "), fmt::join(counts, ", "))
            << fmt::format("  LR {:.2e} | Grad {:.3f} | MaxVio {:.2f} | Val {}", m.lr, m.grad_norm, m.max_vio,
                           validation_ ? fmt::format("{:.4f}", *validation_) : "-")
            << std::endl;
}

void RunLog::validation(std::int64_t step, double loss, double max_vio) {
  validation_ = loss;
  row(nlohmann::ordered_json{{"step", step}, {"val_loss", loss}, {"val_max_vio", max_vio}}.dump());
  clear_bar();
  std::cout << fmt::format("Validation after step {}: {:.4f} nats per token (one full sweep), MaxVio {:.2f}", step, loss, max_vio)
            << std::endl;
}

void RunLog::sample(std::int64_t step, const std::string& text) {
  clear_bar();
  std::cout << "Sample after step " << step << ":\n" << text << "\n" << std::endl;
}

void RunLog::progress(std::int64_t step, double loss) {
  if (!terminal_) return;
  const auto now = Clock::now();
  if (bar_shown_ && now - drawn_ < std::chrono::milliseconds(200)) return;
  drawn_ = now;
  const double done = static_cast<double>(step) / static_cast<double>(steps_);
  const double elapsed = std::chrono::duration<double>(now - start_).count();
  constexpr int width = 30;
  const int filled = static_cast<int>(done * width);
  std::cout << fmt::format("\r\033[K[{:=<{}}{: <{}}] {:3.0f} %  step {}/{}  loss {:.4f}  {} left", "", filled, "", width - filled,
                           100 * done, step, steps_, loss, duration(elapsed / std::max(done, 1e-9) - elapsed))
            << std::flush;
  bar_shown_ = true;
}

void RunLog::clear_bar() {
  if (!bar_shown_) return;
  std::cout << "\r\033[K" << std::flush;
  bar_shown_ = false;
}

}  // namespace folio::examples
