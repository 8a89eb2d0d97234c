#pragma once
#include "autograd/ops.hpp"
#include "nn/config.hpp"
#include "nn/module.hpp"

namespace folio {

/// Which experts each token goes to, and with what weight.
struct Gating {
  Tensor scores;   ///< (N, experts): without the bias
  Tensor chosen;   ///< (N, k) int32, best first
  Tensor weights;  ///< (N, k): factors of the chosen experts' outputs
};

/// Scores of the experts from logits (N, experts): sigmoid (V3), softmax (V2), √softplus (V4).
Tensor expert_scores(const Tensor& logits, Score score);

/// The k best of biased scores (N, experts) → (N, k) int32, ties toward the lowest index. With groups, only experts of
/// the topk_group best groups take part; the others count as −∞, so that a negative score is never beaten by a masked
/// one (V3, arXiv 2412.19437, section 2.1.2, and its inference/model.py; V2 scores a group by its maximum).
Tensor choose_experts(const Tensor& biased, const DeepSeekConfig& config);

/// Scores (…, experts) divided by their sum + 1e-20, as DeepSeek's gate divides: zeros, which float32 sigmoids of −200 are,
/// stay zeros.
Tensor normalized(const Tensor& scores);

/// α·Σ_i f_i·P_i averaged over sequences (V3 eq. 17–20): scores (B, T, experts), without bias → ().
/// f_i = experts/(k·T)·(tokens that choose i by score), P_i = mean over t of s_i/(Σ_j s_j + 1e-20).
Tensor sequence_balance_loss(const Tensor& scores, std::int64_t k, double alpha);

/// The gate of DeepSeekMoE. Computed in the weight's dtype: float32 or wider.
class Router : public Module {
 public:
  Router(const DeepSeekConfig& config, Generator& generator, Options options = {});

  /// x (N, hidden).
  ///   selection_bias (V3): s = score(W x); choose the top k of s + b; weights from s, which has no bias.
  ///   biased_logits (the reference): s' = score(W x + b); choose the top k of s'; weights from s', so b leaks into
  ///   them.
  /// The weights are divided by their sum + 1e-20 if norm_topk_prob, and multiplied by routed_scaling_factor.
  Gating operator()(const Tensor& x) const;

  Tensor weight;                   ///< (experts, hidden)
  Tensor e_score_correction_bias;  ///< (experts) float32: a buffer; no gradient reaches it

 private:
  DeepSeekConfig config_;
};

}  // namespace folio
