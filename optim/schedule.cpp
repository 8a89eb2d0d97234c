#include "optim/schedule.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace folio::optim {

double Schedule::operator()(std::int64_t step) const {
  if (step < warmup_) return peak_ * static_cast<double>(step + 1) / static_cast<double>(warmup_);
  if (steps_ == 0) return peak_;
  const auto span = static_cast<double>(std::max<std::int64_t>(steps_ - 1 - warmup_, 1));
  const double progress = std::min(1.0, static_cast<double>(step - warmup_) / span);
  return peak_ * (floor_ + (1 - floor_) * 0.5 * (1 + std::cos(std::numbers::pi * progress)));
}

}  // namespace folio::optim
