#include "nn/router.hpp"

#include <limits>
#include <vector>

#include "nn/init.hpp"

namespace folio {
namespace {

/// Row g is 1 for the experts of group g: (groups, experts).
Tensor membership(std::int64_t groups, std::int64_t experts, Options options) {
  std::vector<double> rows;
  for (std::int64_t g = 0; g < groups; ++g) {
    for (std::int64_t e = 0; e < experts; ++e) rows.push_back(e / (experts / groups) == g ? 1 : 0);
  }
  return from_vector(rows, {groups, experts}, options);
}

/// Biased scores with those of the groups that lose set to −∞.
Tensor best_groups_only(const Tensor& biased, const DeepSeekConfig& c) {
  const std::int64_t tokens = biased.dim(0), experts = biased.dim(1), per_group = experts / c.n_group;
  const std::int64_t counted = c.group_score == GroupScore::max ? 1 : std::min<std::int64_t>(2, per_group);
  const Tensor by_group = biased.reshape({tokens, c.n_group, per_group});
  const Tensor worth = sum(top_k(by_group, counted).first, {-1});                                     // (N, groups)
  const Tensor groups = top_k(worth, c.topk_group).second;                                            // (N, topk_group)
  const Tensor kept = sum(embedding(membership(c.n_group, experts, biased.options()), groups), {1});  // (N, experts)
  return where(cast(kept, DType::int32), biased, full({}, -std::numeric_limits<double>::infinity(), biased.options()));
}

}  // namespace

Tensor expert_scores(const Tensor& logits, Score score) {
  switch (score) {
    case Score::sigmoid: return sigmoid(logits);
    case Score::softmax: return softmax(logits);
    case Score::sqrt_softplus: {
      // Far below 0 softplus is 0, where the slope of √ is infinite and its product with 0 NaN.
      constexpr double least = std::numeric_limits<float>::min(), infinity = std::numeric_limits<double>::infinity();
      return sqrt(clamp(softplus(logits), least, infinity));
    }
  }
  throw Error("expert_scores: unknown score");
}

Tensor normalized(const Tensor& scores) { return scores / (sum(scores, {-1}, true) + 1e-20); }

Tensor choose_experts(const Tensor& biased, const DeepSeekConfig& config) {
  return top_k(config.n_group > 1 ? best_groups_only(biased, config) : biased, config.num_active_experts).second;
}

Tensor sequence_balance_loss(const Tensor& scores, std::int64_t k, double alpha) {
  const std::int64_t batch = scores.dim(0), length = scores.dim(1), experts = scores.dim(2);
  const Tensor share = mean(normalized(scores), {1});                                                 // P: (B, experts)
  const Tensor chosen = top_k(scores, k).second.reshape({batch, length * k});                         // (B, T·k)
  const Tensor counts = sum(embedding(membership(experts, experts, scores.options()), chosen), {1});  // (B, experts)
  const double factor = alpha * static_cast<double>(experts) / static_cast<double>(k * length * batch);
  return scale(sum(counts * share), factor);
}

Router::Router(const DeepSeekConfig& c, Generator& generator, Options options)
    : weight(add_parameter("weight", normal({c.num_routed_experts, c.hidden_size}, generator, c.init_std, options))),
      e_score_correction_bias(
          add_buffer("e_score_correction_bias", zeros({c.num_routed_experts}, {DType::float32, options.device}))),
      config_(c) {}

Gating Router::operator()(const Tensor& x) const {
  const Tensor logits = linear(x.to(weight.dtype()), weight);      // (N, experts)
  const Tensor bias = e_score_correction_bias.to(weight.dtype());  // (experts)
  const Tensor scores = expert_scores(logits, config_.score);      // (N, experts)
  const bool leaks = config_.gate == Gate::biased_logits;
  const Tensor biased = leaks ? expert_scores(logits + bias, config_.score) : scores + bias;
  const Tensor chosen = choose_experts(biased, config_);         // (N, k)
  Tensor weights = gather(leaks ? biased : scores, -1, chosen);  // (N, k)
  if (config_.norm_topk_prob) weights = normalized(weights);
  if (config_.routed_scaling_factor != 1) weights = weights * config_.routed_scaling_factor;
  return {scores, chosen, weights};
}

}  // namespace folio
