#include "tests/nn/module_cases.hpp"

#include <algorithm>
#include <memory>

#include "autograd/autograd.hpp"

namespace folio::testing {

DeepSeekConfig small_config() {
  DeepSeekConfig c;
  c.vocab_size = 11;
  c.context = 16;
  c.hidden_size = 6;
  c.num_hidden_layers = 2;
  c.num_attention_heads = 2;
  c.q_lora_rank = 5;
  c.kv_lora_rank = 7;
  c.nope_head_dim = 3;
  c.rope_head_dim = 4;
  c.v_head_dim = 2;
  c.num_shared_experts = 1;
  c.num_routed_experts = 6;
  c.num_active_experts = 2;
  c.expert_intermediate_size = 4;
  c.dense_intermediate_size = 9;
  c.sequence_loss_alpha = 0.5;
  c.rms_norm_eps = 0.1;
  c.rope_base = 50;
  return c;
}

void randomize(Module& module, Draw& draw, double scale) {
  for (Parameter p : module.parameters()) {
    // Embeddings at full size: RMSNorm bends the most near 0.
    const double spread = p.name == "embed_tokens.weight" ? 1 : scale;
    p.value.copy_from(p.value.rank() == 1 ? draw.uniform(p.value.shape(), 0.5, 1.5)
                                          : draw.normal(p.value.shape(), spread));
  }
  for (Parameter b : module.buffers()) b.value.copy_from(draw.uniform(b.value.shape(), -0.2, 0.2));
}

bool has_scalar_beside_others(const ModuleProblem& p) {
  const Tensors outputs = p.f();
  return outputs.size() > 1 && std::ranges::any_of(outputs, [](const Tensor& y) { return y.rank() == 0; });
}

GradcheckReport check(const ModuleProblem& p, Look look, std::uint64_t seed) {
  if (look == Look::along_directions) return gradcheck_leaves(p.f, p.leaves, {.seed = seed, .locate = false});
  const GradcheckOptions each = {.directions = 0, .tolerance = 1e-12, .seed = seed, .elements = true};
  if (look == Look::at_each_element) return gradcheck_leaves(p.f, p.leaves, each);
  GradcheckReport all;
  const Tensors outputs = p.f();
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (outputs.size() == 1 || outputs[i].rank() > 0) continue;
    GradcheckReport one = gradcheck_leaves([&] { return Tensors{p.f()[i]}; }, p.leaves, each);
    one.checked += all.checked;
    one.discarded += all.discarded;
    one.coarsest = std::max(one.coarsest, all.coarsest);
    all = one;
    if (!all.passed) break;
  }
  return all;
}

namespace {

constexpr Options wide = {DType::float64};

/// Whether the discrete choices stay as they are around the leaves, at twice gradcheck's step: draws near a tie of
/// top-k are for tests of ties, not of gradients.
bool keeps_off_ties(const ModuleProblem& p, Draw& draw) {
  const auto choices = [&] {
    const Tape tape;
    p.f();
    std::vector<std::vector<double>> all;
    for (const Tensor& choice : tape.discrete_choices()) all.push_back(choice.to_vector());
    return all;
  };
  const auto before = choices();
  bool kept = true;
  for (int i = 0; i < 10 && kept && !before.empty(); ++i) {
    Tensors origin;
    for (Tensor leaf : p.leaves) {
      origin.push_back(leaf.clone());
      leaf.copy_from(leaf.detach() + draw.uniform(leaf.shape(), -2e-3, 2e-3));
    }
    kept = choices() == before;
    for (std::size_t l = 0; l < origin.size(); ++l) Tensor(p.leaves[l]).copy_from(origin[l]);
  }
  return kept;
}

/// Leaves: the input, if it is differentiable, and all parameters.
template <class M>
ModuleProblem problem(std::shared_ptr<M> module, Tensor x, std::function<Tensors(M&, const Tensor&)> f, Draw& draw,
                      std::string description, double scale = 0.5) {
  ModuleProblem p = {{}, [=] { return f(*module, x); }, std::move(description)};
  if (is_float(x.dtype())) p.leaves.push_back(x.requires_grad(true));
  for (const Parameter& parameter : module->parameters()) p.leaves.push_back(parameter.value);
  randomize(*module, draw, scale);
  for (; p.redrawn < 100 && !keeps_off_ties(p, draw); ++p.redrawn) {
    randomize(*module, draw, scale);
    if (is_float(x.dtype())) x.copy_from(draw.normal(x.shape()));
  }
  return p;
}

Generator generator_of(Draw& draw) { return Generator(static_cast<std::uint64_t>(draw.integer(0, 1 << 30))); }

ModuleProblem draw_linear(Draw& draw) {
  Generator g = generator_of(draw);
  const std::int64_t in = draw.extent(false), out = draw.extent(false);
  return problem<Linear>(
      std::make_shared<Linear>(in, out, g, wide, 0.02, draw.chance(0.5)),
      draw.normal({draw.extent(false), draw.extent(false), in}),
      [](Linear& m, const Tensor& x) -> Tensors { return {m(x)}; }, draw, "");
}

ModuleProblem draw_embedding(Draw& draw) {
  Generator g = generator_of(draw);
  return problem<Embedding>(
      std::make_shared<Embedding>(5, 3, g, wide), draw.indices({2, 4}, 5),
      [](Embedding& m, const Tensor& x) -> Tensors { return {m(x)}; }, draw, "");
}

ModuleProblem draw_rms_norm(Draw& draw) {
  const std::int64_t width = draw.integer(2, 6);
  return problem<RMSNorm>(
      std::make_shared<RMSNorm>(width, wide, 0.1), draw.normal({2, 3, width}),
      [](RMSNorm& m, const Tensor& x) -> Tensors { return {m(x)}; }, draw, "");
}

ModuleProblem draw_swiglu(Draw& draw) {
  Generator g = generator_of(draw);
  const std::int64_t width = draw.integer(2, 5);
  return problem<SwiGLU>(
      std::make_shared<SwiGLU>(width, draw.integer(2, 6), g, wide), draw.normal({2, 3, width}),
      [](SwiGLU& m, const Tensor& x) -> Tensors { return {m(x)}; }, draw, "");
}

ModuleProblem draw_dropout(Draw& draw) {
  const Generator start = generator_of(draw);
  const auto generator = std::make_shared<Generator>(start);
  return problem<Dropout>(
      std::make_shared<Dropout>(0.4, generator), draw.normal({3, 5}),
      [=](Dropout& m, const Tensor& x) -> Tensors {
        *generator = start;  // the same mask at each call
        return {m(x)};
      },
      draw, "");
}

ModuleProblem mla(Draw& draw, DeepSeekConfig c) {
  c.rope_pairs = draw.chance(0.5) ? RopePairs::interleaved : RopePairs::rotate_half;
  Generator g = generator_of(draw);
  const Shape shape = {draw.integer(1, 2), draw.integer(2, 6), c.hidden_size};
  return problem<DeepSeekMLA>(
      std::make_shared<DeepSeekMLA>(c, g, wide), draw.normal(shape),
      [](DeepSeekMLA& m, const Tensor& x) -> Tensors { return {m(x)}; }, draw, to_string(shape));
}

ModuleProblem draw_mla_shared_key(Draw& draw) { return mla(draw, small_config()); }
ModuleProblem draw_mla_per_head_key(Draw& draw) {
  DeepSeekConfig c = small_config();
  c.rotary_key = RotaryKey::per_head;
  return mla(draw, c);
}
ModuleProblem draw_mla_one_q(Draw& draw) {
  DeepSeekConfig c = small_config();
  c.q_lora_rank = 0;
  return mla(draw, c);
}

/// Without shared experts unless asked, so that what the routed ones do is not drowned.
ModuleProblem moe(Draw& draw, const DeepSeekConfig& c) {
  Generator g = generator_of(draw);
  const Shape shape = {draw.integer(1, 2), draw.integer(2, 4), c.hidden_size};
  return problem<DeepSeekMoE>(
      std::make_shared<DeepSeekMoE>(c, g, wide), draw.normal(shape),
      [](DeepSeekMoE& m, const Tensor& x) -> Tensors {
        Auxiliary auxiliary;
        Tensors outputs = {m(x, &auxiliary)};
        for (const Tensor& term : auxiliary.terms) outputs.push_back(term);
        return outputs;
      },
      draw, to_string(shape));
}

DeepSeekConfig routed_only() {
  DeepSeekConfig c = small_config();
  c.num_shared_experts = 0;
  c.sequence_loss_alpha = 0;
  return c;
}

ModuleProblem draw_moe_v3(Draw& draw) { return moe(draw, small_config()); }
ModuleProblem draw_moe_sigmoid(Draw& draw) {
  DeepSeekConfig c = routed_only();
  c.norm_topk_prob = false;
  c.routed_scaling_factor = 2.5;
  return moe(draw, c);
}
ModuleProblem draw_moe_softmax(Draw& draw) {
  DeepSeekConfig c = routed_only();
  c.score = Score::softmax;
  c.norm_topk_prob = draw.chance(0.5);
  c.sequence_loss_alpha = 0.3;
  return moe(draw, c);
}
ModuleProblem draw_moe_sqrt_softplus(Draw& draw) {
  DeepSeekConfig c = routed_only();
  c.score = Score::sqrt_softplus;
  return moe(draw, c);
}
ModuleProblem draw_moe_biased_logits(Draw& draw) {
  DeepSeekConfig c = small_config();
  c.gate = Gate::biased_logits;
  return moe(draw, c);
}
ModuleProblem draw_moe_groups(Draw& draw) {
  DeepSeekConfig c = routed_only();
  c.n_group = 3;
  c.topk_group = 2;
  return moe(draw, c);
}
ModuleProblem draw_moe_groups_by_max(Draw& draw) {
  DeepSeekConfig c = routed_only();
  c.n_group = 2;
  c.topk_group = 1;
  c.group_score = GroupScore::max;
  c.score = Score::softmax;
  return moe(draw, c);
}
ModuleProblem draw_moe_one_expert(Draw& draw) {
  DeepSeekConfig c = routed_only();
  c.num_active_experts = 1;
  c.norm_topk_prob = false;
  return moe(draw, c);
}

ModuleProblem lm(Draw& draw, DeepSeekConfig c) {
  Generator g = generator_of(draw);
  c.dropout = 0.1;
  const auto model = std::make_shared<DeepSeekLM>(c, g, wide);
  const Generator start = model->dropout_generator();
  const std::int64_t batch = draw.integer(1, 2), length = draw.integer(2, 4);
  const Tensor targets = draw.indices({batch, length}, c.vocab_size);
  return problem<DeepSeekLM>(
      model, draw.indices({batch, length}, c.vocab_size),
      [=](DeepSeekLM& m, const Tensor& ids) -> Tensors {
        m.dropout_generator() = start;
        const LanguageModelLoss loss = m.losses(ids, targets);
        return {loss.total, loss.logits};
      },
      draw, to_string({batch, length}), 0.3);
}

ModuleProblem draw_lm_tied(Draw& draw) { return lm(draw, small_config()); }
ModuleProblem draw_lm_reference(Draw& draw) {
  DeepSeekConfig c = small_config();
  c.tie_embeddings = false;
  c.rotary_key = RotaryKey::per_head;
  c.rope_pairs = RopePairs::rotate_half;
  c.gate = Gate::biased_logits;
  c.num_hidden_layers = 1;
  return lm(draw, c);
}
ModuleProblem draw_lm_dense_first(Draw& draw) {
  DeepSeekConfig c = small_config();
  c.first_k_dense = 1;
  return lm(draw, c);
}

}  // namespace

const std::vector<ModuleCase>& module_cases() {
#define CASE(name) \
  { #name, &draw_##name }
  static const std::vector<ModuleCase> cases = {CASE(linear),
                                                CASE(embedding),
                                                CASE(rms_norm),
                                                CASE(swiglu),
                                                CASE(dropout),
                                                CASE(mla_shared_key),
                                                CASE(mla_per_head_key),
                                                CASE(mla_one_q),
                                                CASE(moe_v3),
                                                CASE(moe_sigmoid),
                                                CASE(moe_softmax),
                                                CASE(moe_sqrt_softplus),
                                                CASE(moe_biased_logits),
                                                CASE(moe_groups),
                                                CASE(moe_groups_by_max),
                                                CASE(moe_one_expert),
                                                CASE(lm_tied),
                                                CASE(lm_reference),
                                                CASE(lm_dense_first)};
#undef CASE
  return cases;
}

}  // namespace folio::testing
