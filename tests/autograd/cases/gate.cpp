#include <algorithm>
#include <limits>

#include "tests/autograd/op_case.hpp"

namespace folio::testing {
namespace {

Tensor scores_of(const Tensor& logits, Score score) {
  switch (score) {
    case Score::sigmoid: return sigmoid(logits);
    case Score::softmax: return softmax(logits);
    case Score::sqrt_softplus:
      return sqrt(
          clamp(softplus(logits), least_sqrt_softplus * least_sqrt_softplus, std::numeric_limits<double>::infinity()));
  }
  throw Error("no such score");
}

/// Row g is 1 for the experts of group g: (groups, experts).
Tensor membership(std::int64_t groups, std::int64_t experts, Options options) {
  std::vector<double> rows;
  for (std::int64_t g = 0; g < groups; ++g) {
    for (std::int64_t e = 0; e < experts; ++e) rows.push_back(e / (experts / groups) == g ? 1 : 0);
  }
  return from_vector(rows, {groups, experts}, options);
}

/// Values (tokens, experts) with those of the groups that lose set to −∞.
Tensor best_groups_only(const Tensor& value, const GateOptions& o) {
  const std::int64_t tokens = value.dim(0), experts = value.dim(1), members = experts / o.n_group;
  const std::int64_t counted = o.group_score == GroupScore::max ? 1 : std::min<std::int64_t>(2, members);
  const Tensor worth =
      sum(top_k(value.reshape({tokens, o.n_group, members}), counted).first, {-1});  // (tokens, groups)
  const Tensor groups = top_k(worth, o.topk_group).second;                           // (tokens, kept)
  const Tensor kept = sum(embedding(membership(o.n_group, experts, value.options()), groups), {1});
  return where(cast(kept, DType::int32), value, full({}, -std::numeric_limits<double>::infinity(), value.options()));
}

Gating composed_gate(const Tensor& logits, const Tensor& bias, const GateOptions& o) {
  const Tensor scores = scores_of(logits, o.score);
  const bool leaks = o.gate == Gate::biased_logits;
  const Tensor from = leaks ? scores_of(logits + bias, o.score) : scores, value = leaks ? from : from + bias;
  const Tensor chosen = top_k(o.n_group > 1 ? best_groups_only(value, o) : value, o.k).second;
  Tensor weights = gather(from, -1, chosen);
  if (o.norm_topk_prob) weights = weights / (sum(weights, {-1}, true) + least_sum_of_scores);
  return {scores, chosen, weights * o.routed_scaling_factor};
}

GateOptions drawn_options(Draw& draw, std::int64_t groups, std::int64_t members) {
  const std::int64_t kept = draw.integer(1, groups);
  return {.k = draw.integer(1, std::min<std::int64_t>(4, kept * members)),
          .score = static_cast<Score>(draw.integer(0, 2)),
          .gate = static_cast<Gate>(draw.integer(0, 1)),
          .n_group = groups,
          .topk_group = kept,
          .group_score = static_cast<GroupScore>(draw.integer(0, 1)),
          .norm_topk_prob = draw.chance(0.5),
          .routed_scaling_factor = draw.chance(0.5) ? 1 : 2.5};
}

/// Logits whose choices stay as they are under moves of 0.01: tokens near a border are drawn again.
Tensor settled_logits(Draw& draw, const Shape& shape, const Tensor& bias, const GateOptions& options) {
  const auto choices = [&](const Tensor& x) { return composed_gate(x, bias, options).chosen.to_vector(); };
  Tensor logits = draw.uniform(shape, -3, 3);
  for (int round = 0; round < 20; ++round) {
    const std::vector<double> here = choices(logits);
    std::vector<bool> near(static_cast<std::size_t>(shape[0]), false);
    for (int move = 0; move < 6; ++move) {
      const std::vector<double> there = choices(logits + draw.uniform(shape, -0.01, 0.01));
      for (std::size_t i = 0; i < here.size(); ++i) {
        if (here[i] != there[i]) near[i / static_cast<std::size_t>(options.k)] = true;
      }
    }
    if (std::find(near.begin(), near.end(), true) == near.end()) break;
    const Tensor fresh = draw.uniform(shape, -3, 3);
    for (std::int64_t t = 0; t < shape[0]; ++t) {
      if (near[static_cast<std::size_t>(t)]) logits.slice(0, t, t + 1).copy_from(fresh.slice(0, t, t + 1));
    }
  }
  return logits;
}

std::string text_of(const GateOptions& o) {
  return std::to_string(o.k) + " from " + std::to_string(o.topk_group) + " of " + std::to_string(o.n_group) +
         " groups, score " + std::to_string(static_cast<int>(o.score)) + ", gate " +
         std::to_string(static_cast<int>(o.gate)) + (o.norm_topk_prob ? ", normed" : "");
}

Tensors parts_of(const Gating& g) { return {g.scores, g.chosen, g.weights}; }

}  // namespace

Problem draw_choose_experts(Draw& draw) {
  const std::int64_t groups = draw.chance(0.5) ? 1 : draw.integer(2, 4), members = draw.integer(groups == 1 ? 2 : 1, 4);
  const bool wide = draw.chance(0.3);  // more experts than a warp has lanes
  const GateOptions options = drawn_options(draw, groups, wide ? 10 * members : members);
  const Shape shape = {draw.extent(), wide ? groups * 10 * members : groups * members};
  const Tensor bias = draw.dyadic({shape[1]}, 0.5, 1.0 / 32);  // the same in float32
  const auto beside = [bias](const Tensor& x) {
    return bias.to(is_half(x.dtype()) ? DType::float32 : x.dtype()).to(x.device());
  };
  return {.inputs = {settled_logits(draw, shape, bias, options)},
          .f = [=](const Tensors& x) { return parts_of(choose_experts(x[0], beside(x[0]), options)); },
          .composed = [=](const Tensors& x) { return parts_of(composed_gate(x[0], beside(x[0]), options)); },
          .description = to_string(shape) + ", " + text_of(options)};
}

}  // namespace folio::testing
