// A model on the device under test does what it does on the CPU: losses, logits, every parameter's gradient, the routers'
// biases after a step, and decoding behind its cache, over settings that reach every module and every way of routing.
#include <gtest/gtest.h>

#include <cmath>

#include "autograd/autograd.hpp"
#include "nn/nn.hpp"
#include "tests/cuda/ops/under_test.hpp"
#include "tests/nn/small_config.hpp"
#include "tests/relative_distance.hpp"
#include "tests/using_provider.hpp"

namespace folio {
namespace {

constexpr int variants = 12;

DeepSeekConfig variant(int i) {
  DeepSeekConfig c = testing::small_config(11);
  c.rotary_key = i % 2 == 0 ? RotaryKey::shared : RotaryKey::per_head;
  c.rope_pairs = i % 2 == 0 ? RopePairs::interleaved : RopePairs::rotate_half;
  c.tie_embeddings = i % 2 == 0;
  c.score = std::array{Score::sigmoid, Score::softmax, Score::sqrt_softplus}.at(i % 3);
  c.gate = i % 4 < 2 ? Gate::selection_bias : Gate::biased_logits;
  c.norm_topk_prob = i % 5 != 0;
  c.q_lora_rank = i % 5 == 1 ? 0 : 8;
  c.first_k_dense = i % 3 == 1 ? 1 : 0;
  c.dense_intermediate_size = 12;
  if (i % 4 == 1) c.n_group = 2, c.topk_group = 1;
  c.group_score = i % 8 == 1 ? GroupScore::top2_sum : GroupScore::max;
  c.sequence_loss_alpha = 0.5;
  c.dropout = i % 3 == 2 ? 0.2 : 0;
  return c;
}

using Values = std::vector<std::pair<std::string, std::vector<double>>>;

Values step_and_decode(const DeepSeekConfig& config, Device device) {
  Generator generator(7);
  DeepSeekLM model(config, generator, {DType::float64});
  model.to(device);
  const auto tokens = [&](const Shape& shape) {
    return uniform(shape, generator, 0, static_cast<double>(config.vocab_size)).to(DType::int32).to(device);
  };
  const Tensor inputs = tokens({3, config.context}), targets = tokens({3, config.context});
  Values all;
  {
    Tape tape;
    const LanguageModelLoss loss = model.losses(inputs, targets);
    tape.backward(loss.total);
    all.emplace_back("total", loss.total.to_vector());
    all.emplace_back("logits", loss.logits.to_vector());
  }
  for (const Parameter& p : model.parameters()) all.emplace_back(p.name, p.value.grad().to_vector());
  model.update_router_bias();
  for (const Parameter& b : model.buffers()) all.emplace_back(b.name, b.value.to_vector());
  model.eval();
  LatentCache cache = model.make_cache(3);
  all.emplace_back("prefill", model.decode(inputs.slice(1, 0, 5), cache, true).to_vector());
  all.emplace_back("decode", model.decode(inputs.slice(1, 5, 6), cache, true).to_vector());
  return all;
}

TEST(CudaModels, StepAndDecodeAsOnTheCpu) {
  for (int i = 0; i < variants; ++i) {
    const DeepSeekConfig config = variant(i);
    const Values here = step_and_decode(config, Device::cpu);
    under_test::set_order(i % under_test::orders, static_cast<std::uint64_t>(i));
    const Values there = step_and_decode(config, under_test::device);
    ASSERT_EQ(here.size(), there.size());
    for (std::size_t k = 0; k < here.size(); ++k) {
      const auto& [name, a] = here[k];
      const auto& b = there[k].second;
      ASSERT_EQ(a.size(), b.size()) << name;
      for (std::size_t j = 0; j < a.size(); ++j) {
        ASSERT_NEAR(a[j], b[j], 1e-11 * (1 + std::abs(a[j]))) << "variant " << i << ", " << name << " at " << j;
      }
    }
  }
  under_test::set_order(0, 0);
}

TEST(CudaModels, WeightsIn16BitsDecodeAsOnTheCpu) {
  const testing::Using eigen(GemmProvider::eigen);  // attention rounds no probabilities
  for (const DType dtype : {DType::bfloat16, DType::float16}) {
    Generator generator(7);
    DeepSeekLM model(testing::small_config(11), generator);
    model.to(dtype);
    model.eval();
    const Tensor ids = from_indices(std::vector<std::int32_t>{3, 1, 4, 1, 5, 9, 2, 6}, {1, 8});
    const auto decoded = [&](const Tensor& all) {
      LatentCache cache = model.make_cache(1);
      EXPECT_EQ(cache.dtype(), dtype);
      const Tensor prompt = model.decode(all.slice(1, 0, 7), cache), last = model.decode(all.slice(1, 7, 8), cache);
      return concat({prompt, last}, 1).to_vector();
    };
    const auto here = model.logits(ids).to_vector(), decoded_here = decoded(ids);
    model.to(under_test::device);
    const Tensor there = ids.to(under_test::device);
    const double most = dtype == DType::bfloat16 ? 0.03 : 0.004;
    EXPECT_LT(testing::relative_distance(model.logits(there).to_vector(), here), most) << name_of(dtype);
    EXPECT_LT(testing::relative_distance(decoded(there), decoded_here), most) << name_of(dtype);
  }
}

}  // namespace
}  // namespace folio
