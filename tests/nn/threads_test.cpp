// Runs alone: it changes the number of threads.
#include <gtest/gtest.h>

#include <array>
#include <thread>

#include "autograd/autograd.hpp"
#include "tests/nn/module_cases.hpp"

namespace folio::testing {
namespace {

/// Loss and all gradients, as exact values.
std::vector<std::vector<double>> step(DType dtype, RotaryKey key, int threads) {
  set_num_threads(threads);
  DeepSeekConfig c;
  c.num_hidden_layers = 2;
  c.hidden_size = 96;
  c.q_lora_rank = 48;
  c.kv_lora_rank = 48;
  c.num_routed_experts = 7;
  c.expert_intermediate_size = 80;
  c.context = 70;
  c.dropout = 0.1;
  c.rotary_key = key;
  Generator g(1);
  DeepSeekLM model(c, g, {dtype});
  Draw draw(1);
  Tape tape;
  const Tensor loss = model.loss(draw.indices({5, 70}, c.vocab_size), draw.indices({5, 70}, c.vocab_size));
  tape.backward(loss);
  std::vector<std::vector<double>> all = {loss.to_vector()};
  for (const Parameter& p : model.parameters()) all.push_back(p.value.grad().to_vector());
  model.update_router_bias();
  for (const Parameter& b : model.buffers()) all.push_back(b.value.to_vector());
  return all;
}

}  // namespace

TEST(Threads, AnyNumberGivesTheSameBits) {
  const int before = num_threads();
  for (DType dtype : {DType::float32, DType::float64}) {
    for (RotaryKey key : {RotaryKey::shared, RotaryKey::per_head}) {
      const auto one = step(dtype, key, 1);
      for (int threads : {2, 3, 8}) EXPECT_EQ(step(dtype, key, threads), one) << threads << " threads";
    }
  }
  set_num_threads(before);
}

TEST(Threads, MayEvaluateOneModelAtOnce) {
  DeepSeekConfig c;
  c.num_hidden_layers = 2;
  c.hidden_size = 16;
  c.context = 8;
  Generator g(1);
  DeepSeekLM model(c, g);
  model.eval();
  Draw draw(1);
  const Tensor ids = draw.indices({1, 1}, c.vocab_size);
  const std::vector<double> alone = model.logits(ids).to_vector();
  const std::vector<RouterStatistics> once = model.statistics();
  model.reset_statistics();
  constexpr int passes = 1000;
  std::array<int, 4> right = {};
  {
    std::vector<std::jthread> threads;
    threads.reserve(right.size());
    for (int& count : right) {
      threads.emplace_back([&] {
        set_num_threads(1);
        for (int i = 0; i < passes; ++i) count += model.logits(ids).to_vector() == alone ? 1 : 0;
      });
    }
  }
  for (const int count : right) EXPECT_EQ(count, passes);
  const std::vector<RouterStatistics> all = model.statistics();
  ASSERT_EQ(all.size(), once.size());
  for (std::size_t layer = 0; layer < all.size(); ++layer) {
    EXPECT_EQ(all[layer].tokens, 4 * passes * once[layer].tokens);
    for (std::size_t e = 0; e < all[layer].loads.size(); ++e)
      EXPECT_EQ(all[layer].loads[e], 4 * passes * once[layer].loads[e]) << "expert " << e << " of layer " << layer;
  }
}

}  // namespace folio::testing
