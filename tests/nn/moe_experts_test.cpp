// The mixture of experts as a function of its tokens and of its experts, in values and in gradients.
#include "autograd/autograd.hpp"
#include "tests/nn/moe_draw.hpp"

namespace folio::testing {
namespace {

/// The gradients of x and of every parameter, by name.
using Gradients = std::vector<std::pair<std::string, Tensor>>;

Gradients gradients(Tape& tape, DeepSeekMoE& m, Tensor& x, const Tensor& loss) {
  tape.backward(loss);
  Gradients all = {{"x", x.grad().clone()}};
  for (const Parameter& p : m.parameters()) all.emplace_back(p.name, p.value.grad().clone());
  m.zero_grad();
  x.zero_grad();
  return all;
}

double largest_difference(const Tensor& a, const Tensor& b) {
  return testing::largest_difference(a.to_vector(), b.to_vector());
}

/// (N, experts): the weight of each expert for each token, 0 where it is not chosen.
Tensor dense_weights(const Gating& gating, std::int64_t experts) {
  const std::int64_t tokens = gating.chosen.dim(0), k = gating.chosen.dim(1);
  const auto chosen = gating.chosen.to_vector();
  Tensor all = zeros({tokens, experts}, {DType::float64});
  for (std::int64_t r = 0; r < k; ++r) {
    std::vector<double> one(static_cast<std::size_t>(tokens * experts), 0);
    for (std::int64_t t = 0; t < tokens; ++t) {
      const auto e = static_cast<std::int64_t>(chosen[static_cast<std::size_t>(t * k + r)]);
      one[static_cast<std::size_t>(t * experts + e)] = 1;
    }
    all = all + gating.weights.slice(1, r, r + 1) * from_vector(one, {tokens, experts}, {DType::float64});
  }
  return all;
}

/// Every expert for every token, by plain products; those not chosen count with weight 0.
Tensor dense_moe(DeepSeekMoE& m, const DeepSeekConfig& c, const Tensor& x) {
  const Tensor rows = x.reshape({-1, c.hidden_size});                        // (N, hidden)
  const Tensor weights = dense_weights(m.gate(rows), c.num_routed_experts);  // (N, experts)
  const std::int64_t inner = c.expert_intermediate_size, hidden = c.hidden_size;
  Tensor y = m.shared_experts ? (*m.shared_experts)(rows) : zeros(rows.shape(), {DType::float64});
  for (std::int64_t e = 0; e < c.num_routed_experts; ++e) {
    const Tensor gate_up = m.experts.gate_up.slice(0, e, e + 1).reshape({2 * inner, hidden});
    const Tensor down = m.experts.down.slice(0, e, e + 1).reshape({hidden, inner});
    const Tensor gate = matmul(rows, gate_up.slice(0, 0, inner).transpose(0, 1));        // (N, I)
    const Tensor up = matmul(rows, gate_up.slice(0, inner, 2 * inner).transpose(0, 1));  // (N, I)
    const Tensor out = matmul(gate * sigmoid(gate) * up, down.transpose(0, 1));          // (N, hidden)
    y = y + weights.slice(1, e, e + 1) * out;
  }
  return y.reshape(x.shape());
}

}  // namespace

FOLIO_PROPERTY(MoE, AChangedTokenChangesNoOtherOutputAndGetsNoGradientFromIt) {
  Draw draw(seed);
  const DeepSeekConfig c = drawn_config(draw);
  const auto m = module_of(c, draw);
  const std::int64_t batch = draw.integer(1, 2), length = draw.integer(2, 7), tokens = batch * length;
  Tensor x = draw.normal({batch, length, c.hidden_size}).requires_grad(true);
  const std::int64_t t = draw.integer(0, tokens - 1), s = (t + draw.integer(1, tokens - 1)) % tokens;
  Tensor other = x.detach().clone().reshape({tokens, c.hidden_size});
  other.slice(0, t, t + 1).copy_from(draw.normal({1, c.hidden_size}));
  const auto rows = [&](const Tensor& y) { return y.reshape({tokens, c.hidden_size}); };
  const auto apart = [&](const Tensor& a, const Tensor& b, std::int64_t begin, std::int64_t end) {
    return largest_difference(a.slice(0, begin, end), b.slice(0, begin, end));
  };
  Tape tape;
  const Tensor y = rows((*m)(x)), cotangent = draw.normal({1, c.hidden_size});
  {
    const NoRecording pause;
    const auto chosen = m->gate(x.reshape({tokens, c.hidden_size})).chosen.to_vector();
    const Tensor changed = rows((*m)(other.reshape(x.shape())));
    RC_ASSERT(apart(y, changed, 0, t) < 1e-12);
    RC_ASSERT(apart(y, changed, t + 1, tokens) < 1e-12);
    RC_ASSERT(apart(y, changed, t, t + 1) > 1e-9);
    shares.note("routed to other experts by the change", m->gate(other).chosen.to_vector() != chosen, 50);
  }
  tape.backward(y.slice(0, s, s + 1), cotangent);
  const auto dx = x.grad().to_vector();
  const auto hidden = static_cast<std::size_t>(c.hidden_size);
  bool reached = false;
  for (std::size_t i = 0; i < dx.size(); ++i) {
    const bool own = i / hidden == static_cast<std::size_t>(s);
    reached = reached || (own && dx[i] != 0);
    if (!own) RC_ASSERT(dx[i] == 0.0);
  }
  RC_ASSERT(reached);
  note_kind(shares, c);
  shares.note("of several sequences", batch > 1, 30);
}

FOLIO_PROPERTY(MoE, PermutingExpertsChangesNothingAndPermutesTheirGradients) {
  Draw draw(seed);
  const DeepSeekConfig c = drawn_config(draw);
  const auto m = module_of(c, draw);
  Tensor x = draw.normal({2, 5, c.hidden_size}).requires_grad(true);
  const Tensor cotangent = draw.normal(x.shape());
  const auto order = drawn_order(draw, c);
  const auto run = [&] {
    Auxiliary auxiliary;
    Tape tape;
    const Tensor y = (*m)(x, &auxiliary);
    const double loss = auxiliary.total().item();
    return std::tuple(y.to_vector(), loss, gradients(tape, *m, x, sum(y * cotangent) + auxiliary.total()));
  };
  const auto [y, loss, before] = run();
  for (Tensor t : {m->gate.weight, m->gate.e_score_correction_bias, m->experts.gate_up, m->experts.down}) {
    t.copy_from(permuted(t, order));
  }
  const auto [y_after, loss_after, after] = run();
  RC_ASSERT(largest_difference(y, y_after) < 1e-12);
  RC_ASSERT(std::abs(loss - loss_after) < 1e-12);
  for (std::size_t i = 0; i < before.size(); ++i) {
    const auto& [name, gradient] = before[i];
    const bool along = name == "gate.weight" || name.starts_with("experts.");
    const double difference = largest_difference(along ? permuted(gradient, order) : gradient, after[i].second);
    if (!(difference < 1e-11)) RC_FAIL(name + ": the gradients differ by " + std::to_string(difference));
  }
  note_kind(shares, c);
  shares.note("in another order", !std::is_sorted(order.begin(), order.end()), 90);
  shares.note("with idle experts", any_idle(m->statistics()), 10);
}

FOLIO_PROPERTY(MoE, GatherAndScatterHaveTheGradientsOfALoopOverAllExperts) {
  Draw draw(seed);
  const DeepSeekConfig c = drawn_config(draw);
  const auto m = module_of(c, draw);
  Tensor x = draw.normal({draw.integer(1, 2), draw.integer(1, 7), c.hidden_size}).requires_grad(true);
  const Tensor cotangent = draw.normal(x.shape());
  Gradients sparse, dense;
  {
    Tape tape;
    sparse = gradients(tape, *m, x, sum((*m)(x)*cotangent));
  }
  {
    Tape tape;
    dense = gradients(tape, *m, x, sum(dense_moe(*m, c, x) * cotangent));
  }
  RC_ASSERT(sparse.size() == dense.size());
  for (std::size_t i = 0; i < sparse.size(); ++i) {
    const double difference = largest_difference(sparse[i].second, dense[i].second);
    if (!(difference < 1e-11)) {
      RC_FAIL(sparse[i].first + ": the gradients differ by " + std::to_string(difference));
    }
  }
  note_kind(shares, c);
  shares.note("of several tokens", x.numel() > c.hidden_size, 70);
  shares.note("with idle experts", any_idle(m->statistics()), 30);
}

}  // namespace folio::testing
