#include "optim/loss_scaler.hpp"

#include <cmath>

#include "optim/check.hpp"

namespace folio::optim {
namespace {

void check_scale(double scale) {
  check(std::isfinite(scale) && scale > 0, "loss scaler", "the scale", scale, "finite and above 0");
}

}  // namespace

LossScaler::LossScaler(LossScalerOptions options) : scale_(options.initial), growth_interval_(options.growth_interval) {
  check_scale(scale_);
  check(growth_interval_ > 0, "loss scaler", "growth_interval", static_cast<double>(growth_interval_), "at least 1");
}

bool LossScaler::update(bool clean) {
  if (!clean) {
    scale_ /= 2;
    clean_steps_ = 0;
    ++skipped_;
  } else if (++clean_steps_ == growth_interval_) {
    scale_ *= 2;
    clean_steps_ = 0;
  }
  return clean;
}

void LossScaler::restore(double scale, std::int64_t clean_steps, std::int64_t skipped) {
  check_scale(scale);
  check(clean_steps >= 0 && clean_steps < growth_interval_, "loss scaler", "clean_steps",
        static_cast<double>(clean_steps), "at least 0 and below growth_interval");
  check(skipped >= 0, "loss scaler", "skipped", static_cast<double>(skipped), "at least 0");
  scale_ = scale, clean_steps_ = clean_steps, skipped_ = skipped;
}

}  // namespace folio::optim
