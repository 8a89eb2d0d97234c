#pragma once
#include "autograd/ops.hpp"
#include "nn/config.hpp"
#include "nn/module.hpp"

namespace folio {

/// Scores (…, experts) divided by their sum + 1e-20, as DeepSeek's gate divides: zeros, which float32 sigmoids of −200 are,
/// stay zeros.
Tensor normalized(const Tensor& scores);

/// α·Σ_i f_i·P_i averaged over sequences (V3 eq. 17–20): scores (B, T, experts), without bias → ().
/// f_i = experts/(k·T)·(tokens that choose i by score), P_i = mean over t of s_i/(Σ_j s_j + 1e-20).
Tensor sequence_balance_loss(const Tensor& scores, std::int64_t k, double alpha);

/// How a model's router chooses.
GateOptions gate_options(const DeepSeekConfig& config);

/// The gate of DeepSeekMoE. Computed in the weight's dtype: float32 or wider.
class Router : public Module {
 public:
  Router(const DeepSeekConfig& config, Generator& generator, Options options = {});

  /// x (N, hidden) → logits W·x, from which choose_experts (autograd/ops.hpp) makes scores, choices and weights.
  Gating operator()(const Tensor& x) const;

  Tensor weight;                   ///< (experts, hidden)
  Tensor e_score_correction_bias;  ///< (experts) float32: a buffer; no gradient reaches it

 private:
  GateOptions options_;
};

}  // namespace folio
