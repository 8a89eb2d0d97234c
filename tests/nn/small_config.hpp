#pragma once
#include "nn/config.hpp"

namespace folio::testing {

/// A language model that trains in milliseconds: two layers of width 16, four experts, context 8, no auxiliary loss.
inline DeepSeekConfig small_config(std::int64_t vocab_size) {
  DeepSeekConfig c;
  c.vocab_size = vocab_size;
  c.context = 8;
  c.hidden_size = 16;
  c.num_hidden_layers = 2;
  c.num_attention_heads = 2;
  c.q_lora_rank = 8;
  c.kv_lora_rank = 8;
  c.nope_head_dim = 4;
  c.rope_head_dim = 4;
  c.v_head_dim = 8;
  c.num_routed_experts = 4;
  c.expert_intermediate_size = 16;
  c.sequence_loss_alpha = 0;
  c.init_std = 0.2;
  return c;
}

}  // namespace folio::testing
