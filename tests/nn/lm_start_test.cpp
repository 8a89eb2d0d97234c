// What a model's parameters and norms start from, as its configuration says.
#include <gtest/gtest.h>

#include "nn/deepseek_lm.hpp"
#include "tests/nn/module_cases.hpp"
#include "tests/root_mean_square.hpp"

namespace folio::testing {

TEST(LM, ProjectionsIntoTheResidualStreamStartSmallerInDeepModels) {
  DeepSeekConfig c = small_config();
  c.hidden_size = 64;
  c.expert_intermediate_size = c.dense_intermediate_size = 64;
  c.num_attention_heads = 16;
  c.q_lora_rank = c.kv_lora_rank = 48;
  c.rope_head_dim = 16;
  c.vocab_size = 64;
  c.num_routed_experts = 24;
  c.num_hidden_layers = 8;
  c.first_k_dense = 1;
  c.tie_embeddings = false;
  c.init_std = 0.05;
  for (const RotaryKey key : {RotaryKey::shared, RotaryKey::per_head}) {
    c.rotary_key = key;
    Generator g(1);
    const DeepSeekLM model(c, g);
    for (const Parameter& p : model.parameters()) {
      const auto ends = [&](const char* with) { return p.name.ends_with(with); };
      if (p.value.rank() == 1) {
        EXPECT_EQ(root_mean_square(p.value), 1) << p.name;
      } else {
        const double wanted = ends("attn.o.weight") || ends("down") || ends("down.weight") ? 0.05 / 4 : 0.05;
        EXPECT_NEAR(root_mean_square(p.value) / wanted, 1, 0.08) << p.name;
      }
    }
    for (const auto& layer : model.layers) {
      EXPECT_EQ(layer->input_layernorm.eps, c.rms_norm_eps);
      EXPECT_EQ(layer->post_attention_layernorm.eps, c.rms_norm_eps);
    }
    EXPECT_EQ(model.norm.eps, c.rms_norm_eps);
  }
}

}  // namespace folio::testing
