#pragma once
// What the tests of DeepSeekMoE draw.
#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <vector>

#include "nn/deepseek_moe.hpp"
#include "tests/nn/module_cases.hpp"
#include "tests/shares.hpp"

namespace folio::testing {

inline DeepSeekConfig drawn_config(Draw& draw) {
  DeepSeekConfig c = small_config();
  c.score = static_cast<Score>(draw.integer(0, 2));
  c.gate = static_cast<Gate>(draw.integer(0, 1));
  c.norm_topk_prob = draw.chance(0.5);
  c.routed_scaling_factor = draw.chance(0.5) ? 1 : 2.5;
  c.num_shared_experts = draw.integer(0, 2);
  c.num_active_experts = draw.integer(1, 3);
  if (draw.chance(0.5)) {
    c.n_group = draw.chance(0.5) ? 2 : 3;
    c.topk_group = c.n_group == 3 ? 2 : 1;
    c.group_score = static_cast<GroupScore>(draw.integer(0, 1));
  }
  return c;
}

inline std::unique_ptr<DeepSeekMoE> module_of(const DeepSeekConfig& c, Draw& draw, DType dtype = DType::float64) {
  Generator g(1);
  auto module = std::make_unique<DeepSeekMoE>(c, g, Options{dtype});
  randomize(*module, draw);
  return module;
}

inline double largest_difference(const std::vector<double>& x, const std::vector<double>& y) {
  double largest = x.size() == y.size() ? 0 : INFINITY;
  for (std::size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
    const double d = std::abs(x[i] - y[i]);
    largest = std::isnan(d) ? INFINITY : std::max(largest, d);
  }
  return largest;
}

inline void note_kind(Shares& shares, const DeepSeekConfig& c) {
  shares.note("with groups", c.n_group > 1, 30);
  shares.note("of several experts per token", c.num_active_experts > 1, 45);
  shares.note("with shared experts", c.num_shared_experts > 0, 45);
  shares.note("of sigmoid", c.score == Score::sigmoid, 15);
  shares.note("of softmax", c.score == Score::softmax, 15);
  shares.note("of √softplus", c.score == Score::sqrt_softplus, 15);
  shares.note("with the bias in the selection only", c.gate == Gate::selection_bias, 30);
}

inline bool any_idle(const RouterStatistics& statistics) {
  return std::find(statistics.loads.begin(), statistics.loads.end(), 0) != statistics.loads.end();
}

/// x with its first dimension in another order.
inline Tensor permuted(const Tensor& x, const std::vector<std::int64_t>& order) {
  Tensor y = empty_like(x);
  for (std::size_t i = 0; i < order.size(); ++i) {
    const auto at = static_cast<std::int64_t>(i);
    y.slice(0, at, at + 1).copy_from(x.detach().slice(0, order[i], order[i] + 1));
  }
  return y;
}

inline std::vector<std::int64_t> shuffled(Draw& draw, std::int64_t n) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  for (std::int64_t i = n - 1; i > 0; --i)
    std::swap(order[static_cast<std::size_t>(i)], order[static_cast<std::size_t>(draw.integer(0, i))]);
  return order;
}

/// The experts in an order that keeps groups together: the groups in any order, and the members of each.
inline std::vector<std::int64_t> drawn_order(Draw& draw, const DeepSeekConfig& c) {
  const std::int64_t members = c.num_routed_experts / c.n_group;
  std::vector<std::int64_t> order;
  for (std::int64_t group : shuffled(draw, c.n_group)) {
    for (std::int64_t member : shuffled(draw, members)) order.push_back(group * members + member);
  }
  return order;
}

}  // namespace folio::testing
