#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "autograd/autograd.hpp"
#include "nn/deepseek_moe.hpp"
#include "tests/nn/moe_draw.hpp"

namespace folio::testing {
namespace {

/// Whether the router's bias, left out, would send some token of x (B, T, hidden) elsewhere.
bool bias_decides(DeepSeekMoE& m, const Tensor& x) {
  const Tensor rows = x.reshape({-1, x.dim(-1)});
  Tensor& bias = m.gate.e_score_correction_bias;
  const Tensor kept = bias.clone();
  const auto with = m.gate(rows).chosen.to_vector();
  bias.fill(0);
  const auto without = m.gate(rows).chosen.to_vector();
  bias.copy_from(kept);
  return with != without;
}

// ── The router and the experts once more, in loops over doubles ──────────────────────────────────────────────────────
using Values = std::vector<double>;

Values scored(Values logits, Score score) {
  double total = 0;
  for (double& x : logits) {
    if (score == Score::sigmoid) x = 1 / (1 + std::exp(-x));
    if (score == Score::softmax) x = std::exp(x);
    if (score == Score::sqrt_softplus) x = std::sqrt(std::log1p(std::exp(x)));
    total += x;
  }
  if (score == Score::softmax) {
    for (double& x : logits) x /= total;
  }
  return logits;
}

std::size_t index_of_best(const Values& x) {
  return static_cast<std::size_t>(std::max_element(x.begin(), x.end()) - x.begin());
}

/// The k best, best first, after groups that lose were struck out.
std::vector<std::size_t> best(Values biased, const DeepSeekConfig& c) {
  const auto per_group = biased.size() / static_cast<std::size_t>(c.n_group);
  Values worth;
  for (std::size_t g = 0; g < biased.size(); g += per_group) {
    Values members(biased.begin() + static_cast<std::ptrdiff_t>(g),
                   biased.begin() + static_cast<std::ptrdiff_t>(g + per_group));
    std::sort(members.rbegin(), members.rend());
    worth.push_back(members[0] + (c.group_score == GroupScore::top2_sum && per_group > 1 ? members[1] : 0));
  }
  std::vector<bool> kept(worth.size(), false);
  for (std::int64_t i = 0; i < c.topk_group; ++i) {
    const std::size_t g = index_of_best(worth);
    kept[g] = true;
    worth[g] = -INFINITY;
  }
  std::vector<std::size_t> chosen;
  for (std::int64_t i = 0; i < c.num_active_experts; ++i) {
    for (std::size_t e = 0; e < biased.size(); ++e) {
      if (!kept[e / per_group]) biased[e] = -INFINITY;
    }
    chosen.push_back(index_of_best(biased));
    biased[chosen.back()] = -INFINITY;
  }
  return chosen;
}

Values times(const Values& weight, const Values& x) {
  Values y(weight.size() / x.size(), 0);
  for (std::size_t i = 0; i < weight.size(); ++i) y[i / x.size()] += weight[i] * x[i % x.size()];
  return y;
}

Values mlp(const Values& gate, const Values& up, const Values& down, const Values& x) {
  Values h = times(gate, x);
  const Values u = times(up, x);
  for (std::size_t i = 0; i < h.size(); ++i) h[i] = h[i] / (1 + std::exp(-h[i])) * u[i];
  return times(down, h);
}

/// Every expert for every token; those not chosen count with weight 0.
Values dense_moe(const DeepSeekMoE& m, const DeepSeekConfig& c, const Tensor& x) {
  const Values bias = m.gate.e_score_correction_bias.to_vector(), router = m.gate.weight.to_vector();
  const std::int64_t inner = c.expert_intermediate_size;
  Values result;
  const Values all = x.to_vector();
  for (std::size_t t = 0; t < all.size(); t += static_cast<std::size_t>(c.hidden_size)) {
    const Values row(all.begin() + static_cast<std::ptrdiff_t>(t),
                     all.begin() + static_cast<std::ptrdiff_t>(t) + c.hidden_size);
    const Values logits = times(router, row);
    Values moved = logits;
    for (std::size_t e = 0; e < bias.size(); ++e) moved[e] += bias[e];
    const Values scores = scored(logits, c.score);
    Values biased = scored(moved, c.score);
    if (c.gate == Gate::selection_bias) {
      for (std::size_t e = 0; e < bias.size(); ++e) biased[e] = scores[e] + bias[e];
    }
    Values weights(bias.size(), 0);
    double total = 0;
    for (std::size_t e : best(biased, c)) {
      weights[e] = c.gate == Gate::selection_bias ? scores[e] : biased[e];
      total += weights[e];
    }
    Values y(row.size(), 0);
    for (std::size_t e = 0; e < bias.size(); ++e) {
      const auto at = static_cast<std::int64_t>(e);
      const Tensor gate_up = m.experts.gate_up.detach().slice(0, at, at + 1);
      const Values out = mlp(gate_up.slice(1, 0, inner).to_vector(), gate_up.slice(1, inner, 2 * inner).to_vector(),
                             m.experts.down.detach().slice(0, at, at + 1).to_vector(), row);
      const double w = weights[e] * c.routed_scaling_factor / (c.norm_topk_prob ? total : 1);
      for (std::size_t i = 0; i < y.size(); ++i) y[i] += w * out[i];
    }
    if (m.shared_experts) {
      const Values out = mlp(m.shared_experts->gate.weight.to_vector(), m.shared_experts->up.weight.to_vector(),
                             m.shared_experts->down.weight.to_vector(), row);
      for (std::size_t i = 0; i < y.size(); ++i) y[i] += out[i];
    }
    result.insert(result.end(), y.begin(), y.end());
  }
  return result;
}

}  // namespace

FOLIO_PROPERTY(MoE, GatherAndScatterEqualALoopOverAllExperts) {
  Draw draw(seed);
  const DeepSeekConfig c = drawn_config(draw);
  const auto m = module_of(c, draw);
  const Tensor x = draw.normal({draw.integer(1, 2), draw.integer(1, 7), c.hidden_size});
  RC_ASSERT(largest_difference((*m)(x).to_vector(), dense_moe(*m, c, x)) < 1e-11);
  note_kind(shares, c);
  shares.note("of several tokens", x.numel() > c.hidden_size, 70);
  shares.note("with idle experts", any_idle(m->statistics()), 30);
  shares.note("of a bias that decides", bias_decides(*m, x), 20);
}

FOLIO_PROPERTY(MoE, OnlyChosenExpertsAreComputedAndOthersHaveExactlyZeroGradient) {
  Draw draw(seed);
  const DeepSeekConfig c = drawn_config(draw);
  const auto m = module_of(c, draw);
  const Tensor x = draw.normal({1, 1, c.hidden_size});  // one token leaves at least three experts idle
  const Values expected = (*m)(x).to_vector();
  const auto loads = m->statistics().loads;
  for (std::size_t e = 0; e < loads.size(); ++e) {
    const auto at = static_cast<std::int64_t>(e);
    if (loads[e] > 0) continue;
    m->experts.gate_up.detach().slice(0, at, at + 1).fill(std::numeric_limits<double>::quiet_NaN());
    m->experts.down.detach().slice(0, at, at + 1).fill(std::numeric_limits<double>::quiet_NaN());
  }
  Tape tape;
  const Tensor y = (*m)(x);
  RC_ASSERT(y.to_vector() == expected);
  tape.backward(y, draw.normal(y.shape()));
  for (const Tensor& weight : {m->experts.gate_up, m->experts.down}) {
    for (std::size_t e = 0; e < loads.size(); ++e) {
      const auto at = static_cast<std::int64_t>(e);
      bool zero = true;
      for (double g : weight.grad().slice(0, at, at + 1).to_vector()) zero = zero && g == 0;
      RC_ASSERT(zero == (loads[e] == 0));
    }
  }
  note_kind(shares, c);
  shares.note("with idle experts", any_idle(m->statistics()), 100);
}

namespace {

/// What tokens take whose scores, with the bias added, are `biased` (tokens, experts): each scores 1/2 and has a bias of
/// its own.
Values chosen_by(const Tensor& biased, const DeepSeekConfig& c) {
  GateOptions options = gate_options(c);
  options.score = Score::sigmoid;
  options.gate = Gate::selection_bias;
  const std::int64_t experts = biased.dim(1);
  Values chosen;
  for (std::int64_t t = 0; t < biased.dim(0); ++t) {
    const Tensor bias = biased.slice(0, t, t + 1).reshape({experts}) - 0.5;
    for (double e : choose_experts(zeros({1, experts}, biased.options()), bias, options).chosen.to_vector())
      chosen.push_back(e);
  }
  return chosen;
}

}  // namespace

FOLIO_PROPERTY(Router, AnEqualShiftOfAllBiasesChangesNoChoice) {
  Draw draw(seed);
  const DeepSeekConfig c = drawn_config(draw);
  Tensor biased = empty({9, 6}, {DType::float64});  // multiples of 1/64: sums are exact, and there are ties
  for (std::int64_t i = 0; i < biased.numel(); ++i) {
    biased.mutable_data<double>()[i] = static_cast<double>(draw.integer(-64, 64)) / 64;
  }
  const double shift = static_cast<double>(draw.integer(-640, 640)) / 64;
  const auto chosen = chosen_by(biased, c);
  RC_ASSERT(chosen == chosen_by(biased + shift, c));
  const Values flat = biased.to_vector();
  for (std::size_t row = 0; row < 9; ++row) {
    const auto expected = best(Values(flat.begin() + static_cast<std::ptrdiff_t>(row * 6),
                                      flat.begin() + static_cast<std::ptrdiff_t>(row * 6 + 6)),
                               c);
    const auto k = expected.size();
    for (std::size_t i = 0; i < k; ++i) RC_ASSERT(chosen[row * k + i] == static_cast<double>(expected[i]));
  }
  shares.note("with groups", c.n_group > 1, 30);
  shares.note("of several experts per token", c.num_active_experts > 1, 45);
  shares.note("shifted", shift != 0, 90);
}

TEST(Router, GroupsThatLoseAreNotChosenEvenWhereAllScoresAreNegative) {
  DeepSeekConfig c;
  c.num_routed_experts = 4;
  c.n_group = 2;
  c.topk_group = 1;
  c.num_active_experts = 2;
  const Tensor biased = tensor({-3, -4, -1, -2}, {DType::float64}).reshape({1, 4});
  EXPECT_EQ(chosen_by(biased, c), (Values{2, 3}));
  c.group_score = GroupScore::max;
  EXPECT_EQ(chosen_by(tensor({-9, -1, -2, -2}, {DType::float64}).reshape({1, 4}), c), (Values{1, 0}));
  c.group_score = GroupScore::top2_sum;
  EXPECT_EQ(chosen_by(tensor({-9, -1, -2, -2}, {DType::float64}).reshape({1, 4}), c), (Values{2, 3}));
}

FOLIO_PROPERTY(Router, TheBiasOfV3ChangesTheChoiceButNeverTheWeightsOfWhatIsChosen) {
  Draw draw(seed);
  DeepSeekConfig c = small_config();
  c.num_active_experts = 1;
  c.norm_topk_prob = false;
  const Tensor x = draw.normal({8, c.hidden_size});
  for (Gate kind : {Gate::selection_bias, Gate::biased_logits}) {
    c.gate = kind;
    Generator g(1);
    Router router(c, g, {DType::float64});
    randomize(router, draw);
    router.e_score_correction_bias.fill(0);
    const Gating without = router(x);
    Tensor push = zeros({6});
    const std::int64_t favoured = draw.integer(0, 5);
    push.mutable_data<float>()[favoured] = 100;
    router.e_score_correction_bias.copy_from(push);
    const Gating with = router(x);
    RC_ASSERT(with.scores.to_vector() == without.scores.to_vector());
    RC_ASSERT(with.chosen.to_vector() == Values(8, static_cast<double>(favoured)));
    shares.note("moved to another expert", without.chosen.to_vector() != with.chosen.to_vector(), 90);
    const Values weights = with.weights.to_vector();
    const Values scores = with.scores.slice(1, favoured, favoured + 1).to_vector();
    if (kind == Gate::selection_bias) {
      RC_ASSERT(weights == scores);
    } else {
      RC_ASSERT(weights == Values(8, 1.0));  // the reference: sigmoid of logits + 100, the bias leaks into the outputs
    }
  }
}

TEST(Router, TheBiasReceivesNoGradientAndIsNoParameter) {
  for (Gate kind : {Gate::selection_bias, Gate::biased_logits}) {
    Draw draw(1);
    DeepSeekConfig c = small_config();
    c.gate = kind;
    const auto m = module_of(c, draw);
    for (const Parameter& p : m->parameters()) EXPECT_EQ(p.name.find("bias"), std::string::npos);
    ASSERT_EQ(m->buffers().size(), 1U);
    EXPECT_EQ(m->buffers()[0].name, "gate.e_score_correction_bias");
    EXPECT_EQ(m->gate.e_score_correction_bias.dtype(), DType::float32);
    Tape tape;
    tape.backward(sum((*m)(draw.normal({1, 4, c.hidden_size}))));
    EXPECT_FALSE(m->gate.e_score_correction_bias.requires_grad());
    EXPECT_FALSE(m->gate.e_score_correction_bias.grad().defined());
    EXPECT_TRUE(m->gate.weight.grad().defined());
  }
}

TEST(Router, TheChoiceIsOnTheTapeThoughNoGradientComesThroughIt) {
  Draw draw(1);
  const DeepSeekConfig c = small_config();
  Generator g(1);
  Router router(c, g, {DType::float64});
  randomize(router, draw);
  const Tape tape;
  const Gating gating = router(draw.normal({5, c.hidden_size}));
  bool found = false;
  for (const Tensor& choice : tape.discrete_choices()) found = found || choice.to_vector() == gating.chosen.to_vector();
  EXPECT_TRUE(found);
}

TEST(SequenceLoss, FollowsItsFormulaPerSequence) {
  // Two sequences of two tokens, three experts, k = 1.
  const Values s = {0.5, 0.25, 0.25, 0.2, 0.6, 0.2, 0.1, 0.1, 0.8, 0.3, 0.1, 0.6};
  const Tensor scores = from_vector(s, {2, 2, 3}, {DType::float64});
  // Sequence 1: f = 3/2·(1, 1, 0), P = (0.35, 0.425, 0.225). Sequence 2: f = 3/2·(0, 0, 2), P = (0.2, 0.1, 0.7).
  const double expected = 0.1 * (1.5 * (0.35 + 0.425) + 3 * 0.7) / 2;
  EXPECT_NEAR(sequence_balance_loss(scores, 1, 0.1).item(), expected, 1e-15);
  EXPECT_NEAR(sequence_balance_loss(full({2, 4, 6}, 0.3, {DType::float64}), 2, 1).item(), 1, 1e-15)
      << "balanced scores cost α, whatever is chosen";
}

TEST(SequenceLoss, ReachesTheGateAndIsLeftOutInEvaluation) {
  Draw draw(1);
  const DeepSeekConfig c = small_config();
  const auto m = module_of(c, draw);
  const Tensor x = draw.normal({2, 4, c.hidden_size});
  Auxiliary auxiliary;
  Tape tape;
  (*m)(x, &auxiliary);
  ASSERT_EQ(auxiliary.terms.size(), 1U);
  tape.backward(auxiliary.total());
  double largest = 0;
  for (double g : m->gate.weight.grad().to_vector()) largest = std::max(largest, std::abs(g));
  EXPECT_GT(largest, 1e-4);
  EXPECT_FALSE(m->experts.down.grad().defined());
  m->eval();
  Auxiliary none;
  (*m)(x, &none);
  EXPECT_FALSE(none.total().defined());
}

TEST(MoE, CountsLoadsPerModeAndMovesTheBiasOncePerStep) {
  Draw draw(1);
  DeepSeekConfig c = small_config();
  c.bias_rate = 0.5;
  const auto m = module_of(c, draw);
  m->gate.e_score_correction_bias.fill(0);
  const Tensor first = draw.normal({1, 5, c.hidden_size}), second = draw.normal({2, 3, c.hidden_size});
  (*m)(first);
  (*m)(second);
  m->eval();
  (*m)(draw.normal({1, 50, c.hidden_size}));
  EXPECT_EQ(m->statistics().tokens, 50);
  EXPECT_THROW(m->update_bias(), Error);
  m->reset_statistics();
  EXPECT_EQ(m->statistics().tokens, 0);
  m->train();
  EXPECT_EQ(m->gate.e_score_correction_bias.to_vector(), Values(6, 0)) << "nothing moves before the step";
  const RouterStatistics step = m->update_bias();
  EXPECT_EQ(step.tokens, 11);
  EXPECT_EQ(std::accumulate(step.loads.begin(), step.loads.end(), std::int64_t{0}), 22);
  std::vector<float> expected(6, 0);
  make_bias_scheme("sign", 0.5)->update(expected, step.loads);
  EXPECT_EQ(m->gate.e_score_correction_bias.to_vector(), Values(expected.begin(), expected.end()));
  EXPECT_EQ(m->statistics().tokens, 0);
  m->update_bias();
  EXPECT_EQ(m->gate.e_score_correction_bias.to_vector(), Values(expected.begin(), expected.end()))
      << "no tokens, no step";
}

TEST(MoE, WhatFailsIsNotCountedAndASchemeThatFailsTakesNoLoads) {
  struct Failing : BiasScheme {
    void update(std::span<float>, std::span<const std::int64_t>) override { throw Error("no"); }
  };
  Draw draw(1);
  const auto m = module_of(small_config(), draw);
  const Tensor x = draw.normal({1, 5, small_config().hidden_size}), down = m->experts.down;
  m->experts.down = zeros({1, 1, 1}, {DType::float64});
  EXPECT_THROW((*m)(x), Error);
  EXPECT_EQ(m->statistics().tokens, 0);
  m->experts.down = down;
  (*m)(x);
  m->set_bias_scheme(std::make_unique<Failing>());
  EXPECT_THROW(m->update_bias(), Error);
  EXPECT_EQ(m->statistics().tokens, 5);
}

TEST(MoE, EntropyIsThatOfTheNormalisedScores) {
  Draw draw(1);
  const DeepSeekConfig c = small_config();
  const auto m = module_of(c, draw);
  m->gate.weight.fill(0);
  (*m)(draw.normal({1, 4, c.hidden_size}));
  EXPECT_NEAR(m->statistics().entropy, std::log(6.0), 1e-12);
}

/// Ten lines: what a researcher writes.
struct Pull : BiasScheme {
  void update(std::span<float> bias, std::span<const std::int64_t> loads) override {
    for (std::size_t e = 0; e < bias.size(); ++e) bias[e] = static_cast<float>(loads[e]);
  }
};

TEST(MoE, TakesAUsersBiasScheme) {
  Draw draw(1);
  const auto m = module_of(small_config(), draw);
  m->set_bias_scheme(std::make_unique<Pull>());
  (*m)(draw.normal({1, 4, 6}));
  const auto step = m->update_bias();
  EXPECT_EQ(m->gate.e_score_correction_bias.to_vector(), Values(step.loads.begin(), step.loads.end()));
}

TEST(MoE, TrainedWithTheBiasItsLoadsAreMoreEvenThanWithout) {
  // A toy router on inputs that share a direction, so that a few experts attract nearly everything.
  const auto train = [](const std::string& scheme) {
    DeepSeekConfig c = small_config();
    c.num_routed_experts = 8;
    c.sequence_loss_alpha = 0;
    c.bias_scheme = scheme;
    c.bias_rate = 0.02;
    Draw draw(3);
    const auto m = module_of(c, draw);
    m->gate.e_score_correction_bias.fill(0);
    const Tensor common = draw.normal({1, 1, c.hidden_size}, 2);
    double late = 0;
    for (int step = 0; step < 150; ++step) {
      const Tensor x = draw.normal({4, 16, c.hidden_size}) + common;
      Tape tape;
      const Tensor error = (*m)(x)-tanh(x);
      tape.backward(mean(error * error));
      for (Parameter& p : m->parameters()) {
        if (p.value.grad().defined()) p.value.copy_from(p.value.detach() - 0.05 * p.value.grad());
        p.value.zero_grad();
      }
      const RouterStatistics s = m->update_bias();
      if (step >= 100) late += s.max_vio() / 50;
    }
    double bias = 0;
    for (double b : m->gate.e_score_correction_bias.to_vector()) bias = std::max(bias, std::abs(b));
    return std::pair(late, bias);
  };
  const auto [without, no_bias] = train("none");
  EXPECT_EQ(no_bias, 0);
  std::cout << "MaxVio over steps 100 to 149: " << without << " without bias";
  for (const char* scheme : {"sign", "centred_sign", "proportional"}) {
    const auto [with, bias] = train(scheme);
    std::cout << ", " << with << " with " << scheme << " (largest bias " << bias << ")";
    EXPECT_GT(bias, 0.01) << scheme;
    EXPECT_LT(with, 0.5 * without) << scheme;
  }
  std::cout << "\n";
}

TEST(SequenceLoss, AndTheEntropyAreFiniteWhereEveryScoreOfATokenUnderflows) {
  const Tensor logits = full({1, 2, 4}, -200).requires_grad(true);  // sigmoid(−200) is 0 in float32
  Tape tape;
  const Tensor loss = sequence_balance_loss(sigmoid(logits), 2, 0.1);
  EXPECT_EQ(loss.item(), 0);
  tape.backward(loss);
  for (const double g : logits.grad().to_vector()) EXPECT_TRUE(std::isfinite(g)) << g;

  const DeepSeekConfig c = small_config();
  Generator generator(1);
  DeepSeekMoE m(c, generator);
  m.gate.weight.fill(-200);
  m(ones({1, 2, c.hidden_size}));
  EXPECT_EQ(m.statistics().entropy, 0);
}

TEST(Router, SqrtSoftplusOfAnyLogitHasAFiniteGradient) {
  for (const DType dtype : {DType::float32, DType::float64}) {
    const Tensor logits = tensor({-2000, -104, -50, 0, 100}, {dtype}).reshape({1, 5}).requires_grad(true);
    Tape tape;
    const Gating gating = choose_experts(logits, zeros({5}, {dtype}), {.score = Score::sqrt_softplus});
    tape.backward(gating.scores, ones({1, 5}, {dtype}));
    const auto gradients = logits.grad().to_vector();
    for (const double g : gradients) EXPECT_TRUE(std::isfinite(g)) << g;
    EXPECT_EQ(gradients[0], 0);
    EXPECT_NEAR(gradients[4], 0.05, 1e-7);
  }
}

}  // namespace folio::testing
