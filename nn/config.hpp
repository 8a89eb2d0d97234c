#pragma once
#include <cstdint>
#include <map>
#include <string>

#include "autograd/dtype.hpp"
#include "autograd/kernel_types.hpp"

namespace folio {

/// One rotary key for all heads (DeepSeek-V2/V3), or one per head, up-projected from the normed latent (the reference: the
/// PyTorch model that the preset deepseek-shakespeare follows as its authors describe it).
enum class RotaryKey : std::uint8_t { shared, per_head };

/// Everything that determines a DeepSeekLM. Keys are the reference's; the defaults are V3's ways at a small size.
struct DeepSeekConfig {
  std::int64_t vocab_size = 65;
  std::int64_t context = 256;  ///< longest sequence
  std::int64_t hidden_size = 384;
  std::int64_t num_hidden_layers = 6;

  std::int64_t num_attention_heads = 6;
  std::int64_t q_lora_rank = 128;  ///< 0: one q projection
  std::int64_t kv_lora_rank = 128;
  std::int64_t nope_head_dim = 32;
  std::int64_t rope_head_dim = 32;
  std::int64_t v_head_dim = 64;
  RotaryKey rotary_key = RotaryKey::shared;
  RopePairs rope_pairs = RopePairs::interleaved;
  double rope_base = 10000;

  std::int64_t num_shared_experts = 1;
  std::int64_t num_routed_experts = 8;
  std::int64_t num_active_experts = 2;  ///< routed experts per token
  std::int64_t expert_intermediate_size = 256;
  std::int64_t first_k_dense = 0;  ///< leading layers with one dense MLP in place of experts
  std::int64_t dense_intermediate_size = 0;

  Score score = Score::sigmoid;
  Gate gate = Gate::selection_bias;
  bool norm_topk_prob = true;
  double routed_scaling_factor = 1;
  std::int64_t n_group = 1;
  std::int64_t topk_group = 1;
  GroupScore group_score = GroupScore::top2_sum;
  double sequence_loss_alpha = 1e-4;
  std::string bias_scheme = "sign";  ///< none, sign, centred_sign or proportional: see nn/bias_scheme.hpp
  double bias_rate = 1e-3;

  bool tie_embeddings = true;
  /// f32, bf16 or f16. In 16 bits: activations and matrix products; parameters, the statistics of norms, softmax, router
  /// and loss stay float32. With float32, activations are as the parameters.
  DType dtype = DType::float32;
  double dropout = 0;
  double init_std = 0.02;
  double rms_norm_eps = 1e-6;

  std::int64_t q_head_dim() const { return nope_head_dim + rope_head_dim; }
  bool has_experts(std::int64_t layer) const { return layer >= first_k_dense; }

  /// Throws an Error of one line at the first thing that cannot be built. Every setting is checked, those of experts
  /// too where all layers are dense.
  void validate() const;

  /// Sets one key from text, as `--set key=value` does; an unknown key or a value of another type is an Error.
  void set(const std::string& key, const std::string& value);
  /// Every key with its value as text: what `set` takes.
  std::map<std::string, std::string> key_values() const;
};

/// Numbers that are trained; `active` are those that one token uses: all but the routed experts that were not chosen;
/// `matrices`, those of the matrices between hidden layers (Parameter::matrix_rows).
struct ParameterCount {
  std::int64_t total = 0;
  std::int64_t active = 0;
  std::int64_t matrices = 0;
};
/// By formula: allocates nothing.
ParameterCount count_parameters(const DeepSeekConfig& config);

}  // namespace folio
