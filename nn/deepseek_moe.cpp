#include "nn/deepseek_moe.hpp"

#include <algorithm>

#include "autograd/tape.hpp"

namespace folio {

Tensor Auxiliary::total() const {
  Tensor all;
  for (const Tensor& term : terms) all = all.defined() ? all + term : term;
  return all;
}

double mean_max_vio(std::span<const RouterStatistics> layers) {
  double total = 0;
  for (const RouterStatistics& layer : layers) total += layer.max_vio();
  return layers.empty() ? 0 : total / static_cast<double>(layers.size());
}

Experts::Experts(const DeepSeekConfig& c, Generator& generator, Options options, double residual_std)
    : gate_up(add_matrix(
          "gate_up",
          normal({c.num_routed_experts, 2 * c.expert_intermediate_size, c.hidden_size}, generator, c.init_std, options),
          c.expert_intermediate_size)),
      down(add_matrix("down", normal({c.num_routed_experts, c.hidden_size, c.expert_intermediate_size}, generator,
                                     residual_std, options))) {}

Tensor Experts::operator()(const Tensor& rows, const Routing& routing) const {
  const std::int64_t width = down.dim(2);
  const Tensors halves = split(expert_matmul(rows, gate_up, routing.offsets), {width, width}, -1);  // two of (rows, I)
  return expert_matmul(swiglu(halves[0], halves[1]), down, routing.offsets);                        // (rows, hidden)
}

KeptScheme::KeptScheme(std::unique_ptr<BiasScheme> scheme, Device device) : scheme_(std::move(scheme)) {
  require(scheme_ != nullptr, [] { return std::string("DeepSeekMoE: no bias scheme given; \"none\" keeps the bias"); });
  for (const auto& [name, values] : scheme_->state()) {
    const std::span<const float> given = values;
    add_buffer(name, from_vector(given, {std::ssize(given)}, {DType::float32, device}));
  }
}

std::span<float> KeptScheme::state_of(const Parameter& buffer) {
  const auto state = scheme_->state();
  const auto found = state.find(buffer.name);
  require(found != state.end() && std::ssize(found->second) == buffer.value.numel(), [&] {
    return "DeepSeekMoE: the bias scheme's state '" + buffer.name + "' had " + std::to_string(buffer.value.numel()) +
           " numbers when the scheme was set, and no longer has: give it its size in the constructor";
  });
  return found->second;
}

void KeptScheme::update(std::span<float> bias, std::span<const std::int64_t> loads) {
  Parameters kept = buffers();
  mirrors_.resize(kept.size());
  for (std::size_t i = 0; i < kept.size(); ++i) {
    const std::span<const float> values = mirrors_[i].read(kept[i].value);
    std::copy(values.begin(), values.end(), state_of(kept[i]).begin());
  }
  scheme_->update(bias, loads);
  for (std::size_t i = 0; i < kept.size(); ++i) mirrors_[i].write(kept[i].value, state_of(kept[i]));
}

DeepSeekMoE::DeepSeekMoE(const DeepSeekConfig& c, Generator& generator, Options options, double residual_std)
    : gate(c, generator, options), experts(c, generator, options, residual_std), config_(c) {
  add_child("gate", gate);
  add_child("experts", experts);
  if (c.num_shared_experts > 0) {
    shared_experts = std::make_unique<SwiGLU>(c.hidden_size, c.num_shared_experts * c.expert_intermediate_size,
                                              generator, options, c.init_std, residual_std);
    add_child("shared_experts", *shared_experts);
  }
  set_bias_scheme(make_bias_scheme(c.bias_scheme, c.bias_rate));
  for (Counts& each : counts_) each.total.loads.assign(static_cast<std::size_t>(c.num_routed_experts), 0);
}

void DeepSeekMoE::set_bias_scheme(std::unique_ptr<BiasScheme> scheme) {
  scheme_ = std::make_unique<KeptScheme>(std::move(scheme), gate.e_score_correction_bias.device());
  add_child("scheme", *scheme_);
}

Tensor DeepSeekMoE::rows_of(const Tensor& x) const {
  require(x.rank() == 3, [&] { return "DeepSeekMoE: needs (batch, tokens, hidden), got " + describe(x); });
  return x.reshape({x.dim(0) * x.dim(1), x.dim(2)});
}

Tensor DeepSeekMoE::mix(const Tensor& rows, const Gating& gating, const Routing& routing) const {
  // The shared expert keeps a GPU busy while the host waits for the loads, which the others' sizes depend on.
  const Tensor shared = shared_experts ? (*shared_experts)(rows) : Tensor();  // (N, hidden)
  const Tensor each = experts(dispatch_rows(rows, routing), routing);         // (N·k, hidden)
  const Tensor y = combine_rows(each, gating.weights, routing);               // (N, hidden)
  return shared.defined() ? y + shared : y;
}

Tensor DeepSeekMoE::decode(const Tensor& x) const {
  const Tensor rows = rows_of(x);  // (N, hidden)
  const Gating gating = gate(rows);
  return mix(rows, gating, route(gating.chosen, config_.num_routed_experts)).reshape(x.shape());
}

Tensor DeepSeekMoE::operator()(const Tensor& x, Auxiliary* auxiliary) {
  const Tensor rows = rows_of(x);  // (N, hidden)
  const Gating gating = gate(rows);
  HostCopy entropy = entropy_of(gating.scores);  // before the loads: whoever has waited for those has this too
  const Routing routing = route(gating.chosen, config_.num_routed_experts);
  HostCopy offsets(routing.offsets);
  const Tensor y = mix(rows, gating, routing);  // (N, hidden)
  count(rows.dim(0), std::move(offsets), std::move(entropy));
  if (auxiliary != nullptr && training() && config_.sequence_loss_alpha > 0 && x.numel() > 0) {
    const Tensor scores = gating.scores.reshape({x.dim(0), x.dim(1), config_.num_routed_experts});
    auxiliary->terms.push_back(sequence_balance_loss(scores, config_.num_active_experts, config_.sequence_loss_alpha));
  }
  return y.reshape(x.shape());
}

HostCopy DeepSeekMoE::entropy_of(const Tensor& scores) const {
  const NoRecording pause;
  const Tensor p = normalized(scores.detach());
  return HostCopy(negate(sum(p * log(p + 1e-20))));
}

void DeepSeekMoE::count(std::int64_t tokens, HostCopy offsets, HostCopy entropy) {
  const std::scoped_lock lock(counting_);
  Counts& now = counts();
  if (now.offsets.size() >= 64) now.drain();
  now.total.tokens += tokens;
  now.offsets.push_back(std::move(offsets));
  now.entropies.push_back(std::move(entropy));
}

void DeepSeekMoE::Counts::drain() {
  for (const HostCopy& each : offsets) {
    const auto& edges = each.values();
    for (std::size_t e = 0; e + 1 < edges.size(); ++e)
      total.loads[e] += static_cast<std::int64_t>(edges[e + 1] - edges[e]);
  }
  for (const HostCopy& each : entropies) total.entropy += each.values().front();
  offsets.clear();
  entropies.clear();
}

RouterStatistics DeepSeekMoE::statistics() const {
  const std::scoped_lock lock(counting_);
  Counts& now = counts_[training() ? 0 : 1];
  now.drain();
  RouterStatistics result = now.total;
  if (result.tokens > 0) result.entropy /= static_cast<double>(result.tokens);
  return result;
}

void DeepSeekMoE::reset_statistics() {
  const std::scoped_lock lock(counting_);
  Counts& now = counts();
  const std::size_t experts_count = now.total.loads.size();
  now = {};
  now.total.loads.assign(experts_count, 0);
}

RouterStatistics DeepSeekMoE::update_bias() {
  require(training(),
          [] { return std::string("DeepSeekMoE: the router bias moves only while training; call train() first"); });
  const RouterStatistics step = statistics();
  if (step.tokens == 0) return step;
  Tensor& bias = gate.e_score_correction_bias;
  const std::span<const float> before = bias_.read(bias);
  std::vector<float> values(before.begin(), before.end());
  scheme_->update(values, step.loads);
  bias_.write(bias, values);
  reset_statistics();
  return step;
}

}  // namespace folio
