#pragma once
// Plain parameters that ops hand to kernels.
#include <cstdint>
#include <vector>

namespace folio {

/// How rotary embedding pairs the channels of a head of width R: (2i, 2i+1), or (i, i + R/2).
enum class RopePairs : std::uint8_t { interleaved, rotate_half };

/// Folds of a reduction along one dimension.
enum class Extreme : std::uint8_t { max, min };

/// How a router turns logits into scores: V3, V2, V4.
enum class Score : std::uint8_t { sigmoid, softmax, sqrt_softplus };
/// What the router's bias touches: the choice alone (V3), or the logits before the score, and with them the weights
/// (the preset deepseek-shakespeare).
enum class Gate : std::uint8_t { selection_bias, biased_logits };
/// A group of experts is worth the sum of its two best scores (V3) or its best (V2).
enum class GroupScore : std::uint8_t { top2_sum, max };

/// How experts are chosen from their logits, and weighed; names are those of DeepSeek's configuration.
struct GateOptions {
  std::int64_t k = 1;  ///< experts per token
  Score score = Score::sigmoid;
  Gate gate = Gate::selection_bias;
  std::int64_t n_group = 1;
  std::int64_t topk_group = 1;
  GroupScore group_score = GroupScore::top2_sum;
  bool norm_topk_prob = true;
  double routed_scaling_factor = 1;
};
/// √softplus stops at this score, 2^-63: softplus at float32's smallest normal number. Below it the slope of √ would go to
/// infinity, and is 0.
constexpr double least_sqrt_softplus = 0x1p-63;
/// What a sum of scores is increased by before something is divided by it, as in DeepSeek's gate: scores that all
/// underflowed stay 0.
constexpr double least_sum_of_scores = 1e-20;

/// One step of AdamW; corrections are 1 − βᵗ, and each tensor has a weight decay of its own.
struct AdamWStep {
  double lr, beta1, beta2, eps, correction1, correction2;
  std::vector<double> weight_decay;
};

/// One step of SGD with momentum, likewise.
struct SGDStep {
  double lr, momentum;
  bool nesterov;
  std::vector<double> weight_decay;
};

}  // namespace folio
