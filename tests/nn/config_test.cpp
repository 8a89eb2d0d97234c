#include "nn/config.hpp"

#include <gtest/gtest.h>

#include "autograd/error.hpp"

namespace folio {
namespace {

DeepSeekConfig reference() {
  DeepSeekConfig c;
  c.hidden_size = 576;
  c.num_hidden_layers = 30;
  c.num_attention_heads = 9;
  c.num_shared_experts = 2;
  c.expert_intermediate_size = 384;
  c.vocab_size = 49152;
  return c;
}

void expect_counts(DeepSeekConfig c, std::int64_t total_tied, std::int64_t active_tied, std::int64_t total_untied,
                   std::int64_t active_untied) {
  c.tie_embeddings = true;
  EXPECT_EQ(count_parameters(c).total, total_tied);
  EXPECT_EQ(count_parameters(c).active, active_tied);
  c.tie_embeddings = false;
  EXPECT_EQ(count_parameters(c).total, total_untied);
  EXPECT_EQ(count_parameters(c).active, active_untied);
}

std::string refusal(const DeepSeekConfig& c) {
  try {
    c.validate();
  } catch (const Error& e) {
    return e.what();
  }
  return "accepted";
}

/// What validate() says when one key of a good configuration is changed.
std::string refusal(const std::string& key, const std::string& value) {
  DeepSeekConfig c;
  c.set(key, value);
  return refusal(c);
}

}  // namespace

TEST(Config, CountsThePublishedSizesExactly) {
  const DeepSeekConfig shakespeare_char;
  EXPECT_EQ(count_parameters(shakespeare_char).total, 18260736);
  EXPECT_EQ(count_parameters(shakespeare_char).active, 7643904);

  DeepSeekConfig v3 = reference();
  expect_counts(v3, 248017728, 128578368, 276329280, 156889920);
  v3.v_head_dim = 32;
  expect_counts(v3, 241935168, 122495808, 270246720, 150807360);
  DeepSeekConfig per_head = reference();
  per_head.rotary_key = RotaryKey::per_head;
  expect_counts(per_head, 248570688, 129131328, 276882240, 157442880);
}

TEST(Config, RefusesWhatCannotBeBuiltInOneLineThatNamesTheKey) {
  EXPECT_EQ(refusal(DeepSeekConfig()), "accepted");
  EXPECT_EQ(refusal("rope_head_dim", "31"),
            "configuration: rope_head_dim is 31, rotary embedding turns pairs: it must be even");
  EXPECT_EQ(refusal("num_active_experts", "9"),
            "configuration: num_active_experts is 9 but there are only 8 routed experts");
  EXPECT_EQ(refusal("n_group", "3"), "configuration: num_routed_experts 8 does not divide into n_group 3 equal groups");
  for (const char* key :
       {"vocab_size", "context", "hidden_size", "num_hidden_layers", "num_attention_heads", "kv_lora_rank",
        "nope_head_dim", "rope_head_dim", "v_head_dim", "num_routed_experts", "num_active_experts",
        "expert_intermediate_size", "n_group", "topk_group", "rope_base", "rms_norm_eps", "routed_scaling_factor"}) {
    EXPECT_NE(refusal(key, "0").find(key), std::string::npos) << refusal(key, "0");
  }
  for (const char* key : {"q_lora_rank", "num_shared_experts", "first_k_dense", "dense_intermediate_size", "dropout",
                          "bias_rate", "sequence_loss_alpha", "init_std"}) {
    EXPECT_NE(refusal(key, "-1").find(key), std::string::npos) << refusal(key, "-1");
  }
  EXPECT_NE(refusal("topk_group", "2").find("topk_group is 2 but n_group is 1"), std::string::npos);
  EXPECT_NE(refusal("dropout", "1").find("[0, 1)"), std::string::npos);
  EXPECT_NE(refusal("first_k_dense", "1").find("dense_intermediate_size"), std::string::npos);
  EXPECT_NE(refusal("bias_scheme", "astrology").find("there are none, sign, centred_sign, proportional"),
            std::string::npos);
  DeepSeekConfig narrow;
  narrow.n_group = 8;
  EXPECT_EQ(refusal(narrow), "configuration: topk_group 1 groups of 1 experts hold fewer than num_active_experts 2");
}

TEST(Config, ChecksExpertsWhereEveryLayerIsDenseToo) {
  DeepSeekConfig dense;
  dense.first_k_dense = dense.num_hidden_layers;
  dense.dense_intermediate_size = 16;
  EXPECT_EQ(refusal(dense), "accepted");
  DeepSeekConfig experts = dense;
  experts.num_active_experts = 9;
  EXPECT_EQ(refusal(experts), "configuration: num_active_experts is 9 but there are only 8 routed experts");
  dense.first_k_dense = 7;
  EXPECT_EQ(refusal(dense), "configuration: first_k_dense is 7 but num_hidden_layers is 6");
}

TEST(Config, RefusesSizesWhoseProductsWouldOverflow) {
  for (const char* key :
       {"vocab_size", "context", "hidden_size", "num_hidden_layers", "num_attention_heads", "q_lora_rank",
        "kv_lora_rank", "nope_head_dim", "rope_head_dim", "v_head_dim", "num_shared_experts", "num_routed_experts",
        "expert_intermediate_size", "dense_intermediate_size"}) {
    for (const char* value : {"9223372036854775806", "4611686018427387904", "1000000000"}) {
      const std::string expected = std::string("configuration: ") + key + " is " + value + ", it must be at most ";
      EXPECT_TRUE(refusal(key, value).starts_with(expected)) << refusal(key, value);
    }
  }
  DeepSeekConfig vast;  // each size alone is allowed
  vast.hidden_size = vast.expert_intermediate_size = 1 << 24;
  vast.num_routed_experts = 1 << 16;
  EXPECT_EQ(refusal(vast), "configuration: sizes that make 2^62 parameters or more");
  DeepSeekConfig v3;  // the largest published
  v3.hidden_size = 7168;
  v3.num_hidden_layers = 61;
  v3.num_attention_heads = 128;
  v3.num_routed_experts = 256;
  v3.expert_intermediate_size = 2048;
  v3.vocab_size = 129280;
  EXPECT_EQ(refusal(v3), "accepted");
}

TEST(Config, KeysAreReadAndWrittenAsText) {
  DeepSeekConfig c;
  c.set("rotary_key", "per_head");
  c.set("rope_pairs", "rotate_half");
  c.set("gate", "biased_logits");
  c.set("score", "sqrt_softplus");
  c.set("group_score", "max");
  c.set("tie_embeddings", "false");
  c.set("bias_rate", "0.01");
  c.set("hidden_size", "576");
  c.set("dtype", "bf16");
  DeepSeekConfig copy;
  for (const auto& [key, value] : c.key_values()) copy.set(key, value);
  EXPECT_EQ(copy.key_values(), c.key_values());
  EXPECT_EQ(copy.rotary_key, RotaryKey::per_head);
  EXPECT_EQ(copy.rope_pairs, RopePairs::rotate_half);
  EXPECT_EQ(copy.gate, Gate::biased_logits);
  EXPECT_FALSE(copy.tie_embeddings);
  EXPECT_EQ(copy.bias_rate, 0.01);
  EXPECT_EQ(c.key_values().size(), 34U);

  EXPECT_THROW(c.set("hiden_size", "1"), Error);
  EXPECT_THROW(c.set("hidden_size", "1.5"), Error);
  EXPECT_THROW(c.set("hidden_size", ""), Error);
  EXPECT_THROW(c.set("bias_rate", "fast"), Error);
  EXPECT_THROW(c.set("rotary_key", "both"), Error);
  EXPECT_THROW(c.set("dtype", "f64"), Error);
  EXPECT_THROW(c.set("tie_embeddings", "maybe"), Error);
}

}  // namespace folio
