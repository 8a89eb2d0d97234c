#include "examples/memory.hpp"

#include <gtest/gtest.h>

#include "nn/nn.hpp"
#include "optim/ema.hpp"
#include "optim/muon.hpp"

namespace folio::examples {
namespace {

template <class Named>
std::int64_t numbers_of(const Named& state) {
  std::int64_t n = 0;
  for (const auto& [name, value] : state) n += value.numel();
  return n;
}

TEST(EstimatedMemory, CountsWhatTheOptimizerAndTheAverageHold) {
  Preset preset = find_preset("tiny");
  Generator generator(1);
  const DeepSeekLM model(preset.model, generator);
  const Parameters parameters = model.parameters();
  const std::int64_t weights = count_parameters(preset.model).total;
  const std::int64_t adamw = numbers_of(optim::AdamW(parameters).state());
  const std::int64_t muon = numbers_of(optim::Muon(parameters).state());
  const std::int64_t average = numbers_of(optim::EMA(parameters, 0.9).state());
  EXPECT_LT(muon, adamw);
  const auto expect = [&](const char* optimizer, const char* ema_decay, std::int64_t held) {
    preset.set("optimizer", optimizer), preset.set("ema_decay", ema_decay);
    EXPECT_EQ(estimated_memory(preset).model, 4.0 * static_cast<double>(2 * weights + held)) << optimizer << ema_decay;
  };
  expect("adamw", "0", adamw);
  expect("adamw", "0.9", adamw + average);
  expect("muon", "0", muon);
  expect("muon", "0.9", muon + average);
}

}  // namespace
}  // namespace folio::examples
