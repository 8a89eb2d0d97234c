#pragma once
#include <memory>

#include "examples/settings.hpp"
#include "nn/deepseek_lm.hpp"
#include "optim/optimizer.hpp"

namespace folio::examples {

/// What the settings name: AdamW, or Muon with AdamW for what it does not take.
std::unique_ptr<optim::Optimizer> make_optimizer(const DeepSeekLM& model, const TrainSettings& settings);

}  // namespace folio::examples
