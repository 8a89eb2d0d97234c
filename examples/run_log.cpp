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

constexpr double overfitting = 0.02;  // nats above the best sweep that are more than noise

std::string duration(double seconds) {
  const long s = std::lround(seconds);
  if (s < 60) return fmt::format("{}s", s);
  if (s < 3600) return fmt::format("{}m{:02}s", s / 60, s % 60);
  return fmt::format("{}h{:02}m", s / 3600, s % 3600 / 60);
}

}  // namespace

RunLog::RunLog(const std::filesystem::path& folder, std::int64_t steps)
    : path_(folder / "metrics.jsonl"),
      file_(path_),
      steps_(steps),
      start_(Clock::now()),
      terminal_(isatty(STDOUT_FILENO)) {
  require(file_.is_open(),
          [&] { return "cannot write " + path_.string() + ": choose a folder you may write with --out"; });
}

RunLog::~RunLog() { clear_bar(); }

void RunLog::row(const std::string& json) {
  file_ << json << '\n' << std::flush;
  if (file_.good() || row_failed_) return;
  row_failed_ = true;
  std::cerr << "warning: writing " << path_.string() << " failed: is the disk full? The run goes on without it"
            << std::endl;
}

void RunLog::step(const StepMetrics& m, const std::optional<Validation>& validation) {
  row(nlohmann::ordered_json{{"step", m.step},
                             {"loss", m.loss},
                             {"acc", m.accuracy},
                             {"tokens_per_s", m.tokens_per_s},
                             {"lr", m.lr},
                             {"grad_norm", m.grad_norm},
                             {"max_vio", m.max_vio},
                             {"expert_counts", m.expert_counts}}
          .dump());
  if (validation) validated(m.step, *validation);
  clear_bar();
  std::vector<std::size_t> order(m.expert_counts.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return m.expert_counts[a] > m.expert_counts[b]; });
  order.resize(std::min<std::size_t>(order.size(), 3));
  std::vector<std::int64_t> counts;
  counts.reserve(order.size());
  for (std::size_t e : order) counts.push_back(m.expert_counts[e]);
  std::string val = "-";
  if (last_) val = fmt::format("{:.4f}", last_->loss) + (last_->step == m.step ? "" : fmt::format(" @{}", last_->step));
  std::cout << fmt::format("Step {}: Loss {:.4f} | Acc {:.4f} | TPS {:.2f}\n", m.step, m.loss, m.accuracy,
                           m.tokens_per_s)
            << fmt::format("  Top Experts: [{}] (Counts: [{}])\n", fmt::join(order, ", "), fmt::join(counts, ", "))
            << fmt::format("  LR {:.2e} | Grad {:.3f} | MaxVio {:.2f} | Val {}", m.lr, m.grad_norm, m.max_vio, val)
            << std::endl;
  if (!validation || !last_ || !best_) return;
  std::cout << fmt::format(
                   "Validation after step {}: {:.4f} nats per token (one full sweep of {} windows), MaxVio {:.2f}",
                   m.step, validation->loss, validation->windows, validation->max_vio)
            << std::endl;
  if (last_->loss > best_->loss + overfitting && last_->training < best_->training) {
    std::cout
        << fmt::format(
               "overfitting: validation {:.4f} is above its best, {:.4f} after step {}, while the training loss falls",
               last_->loss, best_->loss, best_->step)
        << std::endl;
  }
}

void RunLog::validated(std::int64_t step, const Validation& v) {
  last_ = {step, v.loss, losses_ / static_cast<double>(std::max<std::int64_t>(losses_of_, 1))};
  losses_ = 0;
  losses_of_ = 0;
  if (!best_ || last_->loss < best_->loss) best_ = last_;
  row(nlohmann::ordered_json{
      {"step", step}, {"val_loss", v.loss}, {"best_val_loss", best_->loss}, {"val_max_vio", v.max_vio}}
          .dump());
}

void RunLog::skipped(std::int64_t step, double loss_scale, std::int64_t so_far) {
  row(nlohmann::ordered_json{{"step", step}, {"skipped", so_far}, {"loss_scale", loss_scale}}.dump());
  clear_bar();
  std::cout << fmt::format(
                   "Step {} skipped: its gradients overflow float16; the loss scale is now {} ({} skipped so far)",
                   step, loss_scale, so_far)
            << std::endl;
}

void RunLog::sample(std::int64_t step, const std::string& text) {
  clear_bar();
  std::cout << "Sample after step " << step << ":\n" << text << "\n" << std::endl;
}

void RunLog::stopped(std::int64_t step, const std::string& weights) {
  clear_bar();
  std::cout << "stopped after step " << step << " of " << steps_ << "; " << weights << std::endl;
}

void RunLog::progress(std::int64_t step, double loss) {
  losses_ += loss;
  ++losses_of_;
  const double done = static_cast<double>(step) / static_cast<double>(steps_);
  const double elapsed = std::chrono::duration<double>(Clock::now() - start_).count();
  bar(done, fmt::format("step {}/{}  loss {:.4f}  {} left", step, steps_, loss, duration(elapsed / done - elapsed)));
}

void RunLog::sweeping(std::int64_t windows, std::int64_t of) {
  bar(static_cast<double>(windows) / static_cast<double>(of), fmt::format("validating  window {}/{}", windows, of));
}

void RunLog::bar(double done, const std::string& text) {
  if (!terminal_) return;
  const auto now = Clock::now();
  if (bar_shown_ && now - drawn_ < std::chrono::milliseconds(200)) return;
  drawn_ = now;
  constexpr int width = 30;
  const int filled = static_cast<int>(done * width);
  std::cout << fmt::format("\r\033[K[{:=<{}}{: <{}}] {:3.0f} %  ", "", filled, "", width - filled, 100 * done) << text
            << std::flush;
  bar_shown_ = true;
}

void RunLog::clear_bar() {
  if (!bar_shown_) return;
  std::cout << "\r\033[K" << std::flush;
  bar_shown_ = false;
}

}  // namespace folio::examples
