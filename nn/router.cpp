#include "nn/router.hpp"

#include <vector>

#include "nn/init.hpp"

namespace folio {
namespace {

/// Ones on the diagonal: (n, n).
Tensor identity(std::int64_t n, Options options) {
  std::vector<double> rows(static_cast<std::size_t>(n * n), 0);
  for (std::int64_t i = 0; i < n; ++i) rows[static_cast<std::size_t>(i * (n + 1))] = 1;
  return from_vector(rows, {n, n}, options);
}

}  // namespace

Tensor normalized(const Tensor& scores) { return scores / (sum(scores, {-1}, true) + least_sum_of_scores); }

Tensor sequence_balance_loss(const Tensor& scores, std::int64_t k, double alpha) {
  const std::int64_t batch = scores.dim(0), length = scores.dim(1), experts = scores.dim(2);
  const Tensor share = mean(normalized(scores), {1});                                      // P: (B, experts)
  const Tensor chosen = top_k(scores, k).second.reshape({batch, length * k});              // (B, T·k)
  const Tensor counts = sum(embedding(identity(experts, scores.options()), chosen), {1});  // (B, experts)
  const double factor = alpha * static_cast<double>(experts) / static_cast<double>(k * length * batch);
  return scale(sum(counts * share), factor);
}

GateOptions gate_options(const DeepSeekConfig& c) {
  return {.k = c.num_active_experts,
          .score = c.score,
          .gate = c.gate,
          .n_group = c.n_group,
          .topk_group = c.topk_group,
          .group_score = c.group_score,
          .norm_topk_prob = c.norm_topk_prob,
          .routed_scaling_factor = c.routed_scaling_factor};
}

Router::Router(const DeepSeekConfig& c, Generator& generator, Options options)
    : weight(add_parameter("weight", normal({c.num_routed_experts, c.hidden_size}, generator, c.init_std, options))),
      e_score_correction_bias(
          add_buffer("e_score_correction_bias", zeros({c.num_routed_experts}, {DType::float32, options.device}))),
      options_(gate_options(c)) {}

Gating Router::operator()(const Tensor& x) const {
  const Tensor logits = linear(x.to(weight.dtype()), weight);  // (N, experts)
  return choose_experts(logits, e_score_correction_bias.to(weight.dtype()), options_);
}

}  // namespace folio
