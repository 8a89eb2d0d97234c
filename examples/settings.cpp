#include "examples/settings.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "autograd/error.hpp"

namespace folio::examples {
namespace {

void one_of(const std::string& key, const std::string& value, const std::vector<std::string>& known) {
  require(std::ranges::find(known, value) != known.end(), [&] {
    std::string all;
    for (const std::string& each : known) all += (all.empty() ? "" : " or ") + each;
    return key + " must be " + all + ", not '" + value + "'";
  });
}

}  // namespace

void TrainSettings::validate() const {
  const auto within = [](const char* key, std::int64_t value, std::int64_t least, std::int64_t most) {
    require(value >= least, [&] { return std::string(key) + " must be at least " + std::to_string(least); });
    require(value <= most, [&] { return std::string(key) + " must be at most " + std::to_string(most); });
  };
  constexpr std::int64_t many = 1 << 30;
  within("steps", steps, 1, many);
  within("batch", batch, 1, many);
  within("accumulate", accumulate, 1, many);
  within("log_every", log_every, 1, many);
  within("validate_every", validate_every, -1, many);
  within("sample_every", sample_every, -1, many);
  within("sample_tokens", sample_tokens, 0, many);
  within("warmup", warmup, 0, many);
  within("muon_iterations", muon_iterations, 1, 100);
  within("muon_block", muon_block, 0, many);
  require(static_cast<double>(steps) * static_cast<double>(accumulate) * static_cast<double>(batch) < 0x1p62,
          [] { return std::string("steps × accumulate × batch are more windows than can be counted"); });
  require(std::isfinite(weight_decay) && weight_decay >= 0,
          [] { return std::string("weight_decay must be a number of at least 0"); });
  require(std::isfinite(lr) && lr > 0, [] { return std::string("lr must be a positive number"); });
  require(lr <= 1e30, [] { return std::string("lr must be at most 1e30: float32 holds little more"); });
  require(std::isfinite(muon_lr) && muon_lr >= 0 && muon_lr <= 1e30,
          [] { return std::string("muon_lr must be a positive number of at most 1e30, or 0: as lr"); });
  require(muon_momentum > 0 && muon_momentum < 1, [] { return std::string("muon_momentum must lie between 0 and 1"); });
  require(ema_decay >= 0 && ema_decay < 1, [] { return std::string("ema_decay must lie in [0, 1), 0: no average"); });
  one_of("optimizer", optimizer, {"adamw", "muon"});
  one_of("muon_dtype", muon_dtype, {"model", "f32", "bf16", "f16"});
  one_of("sampling", sampling, {"independent", "epochs"});
  one_of("validate_on", validate_on, {"validation", "tuning"});
  require(std::max(lr, optimizer == "muon" ? muon_peak() : 0) * weight_decay <= 1, [] {
    return std::string("lr × weight_decay must be at most 1: more turns every weight's sign at each step");
  });
  require(clip > 0, [] { return std::string("clip must be positive"); });
  require(lr_floor >= 0 && lr_floor <= 1, [] { return std::string("lr_floor is a share of lr, from 0 to 1"); });
  for (double beta : {beta1, beta2}) {
    require(beta >= 0 && beta < 1, [] { return std::string("beta1 and beta2 must lie in [0, 1)"); });
  }
}

}  // namespace folio::examples
