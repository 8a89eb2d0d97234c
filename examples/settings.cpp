#include "examples/settings.hpp"

#include <cmath>

#include "autograd/error.hpp"

namespace folio::examples {

void TrainSettings::validate() const {
  const auto at_least = [](const char* key, double value, double least) {
    require(std::isfinite(value) && value >= least, [&] {
      return std::string(key) + " must be at least " + std::to_string(static_cast<std::int64_t>(least));
    });
  };
  at_least("steps", static_cast<double>(steps), 1);
  at_least("batch", static_cast<double>(batch), 1);
  at_least("accumulate", static_cast<double>(accumulate), 1);
  at_least("log_every", static_cast<double>(log_every), 1);
  at_least("validate_every", static_cast<double>(validate_every), -1);
  at_least("sample_every", static_cast<double>(sample_every), -1);
  at_least("sample_tokens", static_cast<double>(sample_tokens), 0);
  at_least("warmup", static_cast<double>(warmup), 0);
  at_least("weight_decay", weight_decay, 0);
  require(std::isfinite(lr) && lr > 0, [] { return std::string("lr must be a positive number"); });
  require(clip > 0, [] { return std::string("clip must be positive"); });
  require(lr_floor >= 0 && lr_floor <= 1, [] { return std::string("lr_floor is a share of lr, from 0 to 1"); });
  for (double beta : {beta1, beta2}) {
    require(beta >= 0 && beta < 1, [] { return std::string("beta1 and beta2 must lie in [0, 1)"); });
  }
}

}  // namespace folio::examples
