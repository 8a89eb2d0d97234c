#include "optim/schedule.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "optim/check.hpp"

namespace folio::optim {

Schedule::Schedule(double peak, std::int64_t warmup, std::int64_t steps, double floor)
    : peak_(peak), warmup_(warmup), steps_(steps), floor_(floor) {
  check(std::isfinite(peak) && peak >= 0, "schedule", "peak", peak, "finite and at least 0");
  check(warmup >= 0, "schedule", "warmup", static_cast<double>(warmup), "at least 0");
  check(floor >= 0 && floor <= 1, "schedule", "floor", floor, "a share of the peak, in [0, 1]");
}

Schedule Schedule::cosine(double peak, std::int64_t warmup, std::int64_t steps, double floor) {
  check(steps >= 1, "schedule", "steps", static_cast<double>(steps), "at least 1");
  return {peak, warmup, steps, floor};
}

double Schedule::operator()(std::int64_t step) const {
  check(step >= 0, "schedule", "the step", static_cast<double>(step), "at least 0");
  if (step < warmup_) return peak_ * static_cast<double>(step + 1) / static_cast<double>(warmup_);
  if (steps_ == 0) return peak_;
  const auto span = static_cast<double>(std::max<std::int64_t>(steps_ - 1 - warmup_, 1));
  const double progress = std::min(1.0, static_cast<double>(step - warmup_) / span);
  return peak_ * (floor_ + (1 - floor_) * 0.5 * (1 + std::cos(std::numbers::pi * progress)));
}

}  // namespace folio::optim
