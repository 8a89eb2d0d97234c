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
    : gate_up(add_parameter("gate_up", normal({c.num_routed_experts, 2 * c.expert_intermediate_size, c.hidden_size},
                                              generator, c.init_std, options))),
      down(add_parameter("down", normal({c.num_routed_experts, c.hidden_size, c.expert_intermediate_size}, generator,
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
  for (const Parameter& buffer : buffers()) {
    const auto values = buffer.value.to_vector();
    std::transform(values.begin(), values.end(), state_of(buffer).begin(),
                   [](double v) { return static_cast<float>(v); });
  }
  scheme_->update(bias, loads);
  for (Parameter& buffer : buffers()) {
    const std::span<const float> values = state_of(buffer);
    buffer.value.copy_from(from_vector(values, buffer.value.shape(), buffer.value.options()));
  }
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

Tensor DeepSeekMoE::operator()(const Tensor& x, Auxiliary* auxiliary) {
  require(x.rank() == 3, [&] { return "DeepSeekMoE: needs (batch, tokens, hidden), got " + describe(x); });
  const std::int64_t batch = x.dim(0), length = x.dim(1), width = config_.num_routed_experts;
  const Tensor rows = x.reshape({batch * length, x.dim(2)});  // (N, hidden)
  const Gating gating = gate(rows);
  const Routing routing = route(gating.chosen, width);
  const Tensor each = experts(dispatch_rows(rows, routing), routing);  // (N·k, hidden)
  Tensor y = combine_rows(each, gating.weights, routing);              // (N, hidden)
  if (shared_experts) y = y + (*shared_experts)(rows);
  if (auxiliary != nullptr && training() && config_.sequence_loss_alpha > 0 && x.numel() > 0) {
    const Tensor scores = gating.scores.reshape({batch, length, width});
    auxiliary->terms.push_back(sequence_balance_loss(scores, config_.num_active_experts, config_.sequence_loss_alpha));
  }
  count(gating, routing);
  return y.reshape(x.shape());
}

void DeepSeekMoE::count(const Gating& gating, const Routing& routing) {
  const NoRecording pause;
  const Tensor s = gating.scores.detach();
  const Tensor p = normalized(s);
  Counts& now = counts();
  now.total.tokens += s.dim(0);
  now.entropies.push_back(negate(sum(p * log(p + 1e-20))));
  now.offsets.push_back(routing.offsets);
  if (now.offsets.size() >= 64) now.drain();
}

void DeepSeekMoE::Counts::drain() {
  for (const Tensor& each : offsets) {
    const auto edges = each.to_vector();
    for (std::size_t e = 0; e + 1 < edges.size(); ++e)
      total.loads[e] += static_cast<std::int64_t>(edges[e + 1] - edges[e]);
  }
  for (const Tensor& each : entropies) total.entropy += each.item();
  offsets.clear();
  entropies.clear();
}

RouterStatistics DeepSeekMoE::statistics() const {
  Counts& now = counts_[training() ? 0 : 1];
  now.drain();
  RouterStatistics result = now.total;
  if (result.tokens > 0) result.entropy /= static_cast<double>(result.tokens);
  return result;
}

void DeepSeekMoE::reset_statistics() {
  Counts& now = counts();
  const std::size_t experts_count = now.total.loads.size();
  now = {};
  now.total.loads.assign(experts_count, 0);
}

RouterStatistics DeepSeekMoE::update_bias() {
  require(training(),
          [] { return std::string("DeepSeekMoE: the router bias moves only while training; call train() first"); });
  const RouterStatistics step = statistics();
  reset_statistics();
  if (step.tokens == 0) return step;
  Tensor& bias = gate.e_score_correction_bias;
  const auto before = bias.to_vector();
  std::vector<float> values(before.begin(), before.end());
  scheme_->update(values, step.loads);
  const std::vector<double> after(values.begin(), values.end());
  bias.copy_from(from_vector(after, bias.shape(), bias.options()));
  return step;
}

}  // namespace folio
