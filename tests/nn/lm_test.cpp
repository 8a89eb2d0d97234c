#include <cmath>
#include <map>

#include "autograd/autograd.hpp"
#include "nn/deepseek_lm.hpp"
#include "tests/error_of.hpp"
#include "tests/nn/module_cases.hpp"
#include "tests/nn/small_config.hpp"
#include "tests/root_mean_square.hpp"
#include "tests/shares.hpp"

namespace folio::testing {
namespace {

constexpr Options wide = {DType::float64};

/// A model that can be built: every choice drawn.
DeepSeekConfig drawn_config(Draw& draw) {
  DeepSeekConfig c = small_config();
  c.hidden_size = draw.integer(3, 8);
  c.num_hidden_layers = draw.integer(1, 3);
  c.num_attention_heads = draw.integer(1, 3);
  c.q_lora_rank = draw.integer(0, 4);
  c.kv_lora_rank = draw.integer(1, 6);
  c.rotary_key = static_cast<RotaryKey>(draw.integer(0, 1));
  c.rope_pairs = static_cast<RopePairs>(draw.integer(0, 1));
  c.num_shared_experts = draw.integer(0, 2);
  c.first_k_dense = draw.integer(0, std::min<std::int64_t>(2, c.num_hidden_layers));
  c.gate = static_cast<Gate>(draw.integer(0, 1));
  c.score = static_cast<Score>(draw.integer(0, 2));
  c.tie_embeddings = draw.chance(0.5);
  if (draw.chance(0.3)) c.n_group = 2;
  return c;
}

void note_kind(Shares& shares, const DeepSeekConfig& c) {
  shares.note("with queries compressed", c.q_lora_rank > 0, 60);
  shares.note("with one rotary key per head", c.rotary_key == RotaryKey::per_head, 30);
  shares.note("with experts", c.num_hidden_layers > c.first_k_dense, 40);
  shares.note("with dense layers", c.first_k_dense > 0, 40);
  shares.note("with groups", c.n_group > 1, 15);
}

double largest_difference(const Tensor& a, const Tensor& b) {
  const auto x = a.to_vector(), y = b.to_vector();
  double largest = x.size() == y.size() ? 0 : INFINITY;
  for (std::size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
    const double d = std::abs(x[i] - y[i]);
    largest = std::isnan(d) ? INFINITY : std::max(largest, d);
  }
  return largest;
}

std::int64_t numbers_in(const Module& module) {
  std::int64_t total = 0;
  for (const Parameter& p : module.parameters()) total += p.value.numel();
  return total;
}

TEST(DeepSeekLM, SaysWhichOfItsParametersAreMatricesBetweenHiddenLayers) {
  DeepSeekConfig c = small_config(9);
  c.num_hidden_layers = 1;
  c.tie_embeddings = false;
  c.expert_intermediate_size = 5;
  Generator generator(1);
  const DeepSeekLM model(c, generator);
  std::map<std::string, std::int64_t> rows;
  for (const Parameter& p : model.parameters()) {
    if (p.matrix_rows > 0) rows[p.name] = p.matrix_rows;
  }
  const std::string attention = "layers.0.self_attn.", mlp = "layers.0.mlp.";
  const std::map<std::string, std::int64_t> expected = {{attention + "q_a.weight", 8},
                                                        {attention + "q_b.weight", 16},
                                                        {attention + "kv_a.weight", 12},
                                                        {attention + "kv_b.weight", 24},
                                                        {attention + "o.weight", 16},
                                                        {mlp + "experts.gate_up", 5},
                                                        {mlp + "experts.down", 16},
                                                        {mlp + "shared_experts.gate.weight", 5},
                                                        {mlp + "shared_experts.up.weight", 5},
                                                        {mlp + "shared_experts.down.weight", 16}};
  EXPECT_EQ(rows, expected);  // and no embedding, head, router or norm
}

}  // namespace

FOLIO_PROPERTY(LM, CountingByFormulaEqualsTheBuiltModel) {
  Draw draw(seed);
  const DeepSeekConfig c = drawn_config(draw);
  Generator g(1);
  const DeepSeekLM model(c, g);
  std::int64_t idle = 0, matrices = 0;
  for (const Parameter& p : model.parameters()) matrices += p.matrix_rows > 0 ? p.value.numel() : 0;
  for (const auto& layer : model.layers) {
    if (layer->moe)
      idle += numbers_in(layer->moe->experts) * (c.num_routed_experts - c.num_active_experts) / c.num_routed_experts;
  }
  RC_ASSERT(count_parameters(c).total == numbers_in(model));
  RC_ASSERT(count_parameters(c).active == numbers_in(model) - idle);
  RC_ASSERT(count_parameters(c).matrices == matrices);
  note_kind(shares, c);
  shares.note("with shared experts", idle > 0 && c.num_shared_experts > 0, 20);
  shares.note("of tied embeddings", c.tie_embeddings, 30);
}

FOLIO_PROPERTY(LM, CachedDecodeEqualsTheFullForwardForAnyChunking) {
  Draw draw(seed);
  const DeepSeekConfig c = drawn_config(draw);
  Generator g(1);
  DeepSeekLM model(c, g, wide);
  randomize(model, draw);
  model.eval();
  const std::int64_t batch = draw.integer(1, 2), length = draw.integer(1, c.context);
  const Tensor ids = draw.indices({batch, length}, c.vocab_size);
  const Tensor full = model.logits(ids);
  LatentCache cache(c, batch, wide);
  int chunks = 0;
  bool several_behind_others = false;
  for (std::int64_t at = 0; at < length; ++chunks) {
    const std::int64_t n = draw.integer(1, length - at);
    const bool last = draw.chance(0.3);
    const Tensor logits = model.decode(ids.slice(1, at, at + n), cache, last);
    const double difference = largest_difference(logits, full.slice(1, last ? at + n - 1 : at, at + n));
    RC_ASSERT(difference < 1e-10);
    several_behind_others = several_behind_others || (at > 0 && n > 1);
    at += n;
  }
  note_kind(shares, c);
  shares.note("of several layers", c.num_hidden_layers > 1, 50);
  shares.note("in several chunks", chunks > 1, 60);
  shares.note("with a chunk of several tokens behind others", several_behind_others, 40);
}

TEST(LM, DecodeRefusesNoTokensWhoseLastIsWantedAndACacheOfAnotherDepth) {
  const DeepSeekConfig c = small_config();
  DeepSeekConfig deeper = c;
  ++deeper.num_hidden_layers;
  Generator g(1);
  DeepSeekLM model(c, g, wide);
  model.eval();
  LatentCache cache(c, 1, wide), other(deeper, 1, wide);
  const Tensor none = empty({1, 0}, {DType::int32});
  EXPECT_EQ(model.decode(none, cache).shape(), (Shape{1, 0, c.vocab_size}));
  EXPECT_NE(error_of([&] { model.decode(none, cache, true); }).find("decode of no tokens"), std::string::npos);
  EXPECT_NE(error_of([&] {
              model.decode(zeros({1, 1}, {DType::int32}), other);
            }).find("make it for this model's"),
            std::string::npos);
  EXPECT_EQ(other.length(), 0);
}

TEST(LM, ADecodeThatThrowsLeavesEveryLayerOfTheCacheAsItWas) {
  const DeepSeekConfig c = small_config();
  Generator g(1);
  DeepSeekLM model(c, g, wide);
  model.eval();
  LatentCache cache = model.make_cache(1), undisturbed = model.make_cache(1), small = model.make_cache(1, 3);
  const Tensor two = zeros({1, 2}, {DType::int32});
  for (LatentCache* each : {&cache, &undisturbed, &small}) model.decode(two, *each);
  const auto room = std::exchange(cache.layer(1), small.layer(1));  // for one token more
  EXPECT_NE(error_of([&] { model.decode(two, cache); }).find("do not fit"), std::string::npos);
  cache.layer(1) = room;
  EXPECT_EQ(cache.length(), 2);
  EXPECT_EQ(model.decode(two, cache).to_vector(), model.decode(two, undisturbed).to_vector());
  cache.layer(0).length = 3;
  EXPECT_NE(error_of([&] { model.decode(two, cache); }).find("holds 3 tokens and another 4"), std::string::npos);
  EXPECT_NE(error_of([&] { cache.truncate(4); }).find("truncate to 4 tokens: a layer holds 3"), std::string::npos);
  cache.truncate(3);
  EXPECT_EQ(cache.length(), 3);
}

FOLIO_PROPERTY(LM, ALaterTokenLeavesEarlierLogitsAsTheyWere) {
  Draw draw(seed);
  const DeepSeekConfig c = drawn_config(draw);
  Generator g(1);
  DeepSeekLM model(c, g, wide);
  randomize(model, draw);
  const std::int64_t length = draw.integer(2, c.context), t = draw.integer(1, length - 1);
  const Tensor ids = draw.indices({2, length}, c.vocab_size);
  const Tensor other = ids.clone();
  other.slice(1, t, length).copy_from(draw.indices({2, length - t}, c.vocab_size));
  const double difference = largest_difference(model.logits(ids).slice(1, 0, t), model.logits(other).slice(1, 0, t));
  RC_ASSERT(difference < 1e-12);
  note_kind(shares, c);
  shares.note("of several layers", c.num_hidden_layers > 1, 50);
  shares.note("with several tokens before the change", t > 1, 60);
  shares.note("changed", ids.to_vector() != other.to_vector(), 90);
}

TEST(LM, NamesItsState) {
  DeepSeekConfig c = small_config();
  c.first_k_dense = 1;
  c.tie_embeddings = false;
  Generator g(1);
  DeepSeekLM model(c, g);
  const auto state = model.state();
  for (const char* name :
       {"embed_tokens.weight", "layers.0.input_layernorm.weight", "layers.0.self_attn.q_a.weight",
        "layers.0.self_attn.kv_a_norm.weight", "layers.0.mlp.gate.weight", "layers.0.mlp.up.weight",
        "layers.1.mlp.gate.weight", "layers.1.mlp.gate.e_score_correction_bias", "layers.1.mlp.experts.gate_up",
        "layers.1.mlp.experts.down", "layers.1.mlp.shared_experts.down.weight",
        "layers.1.post_attention_layernorm.weight", "norm.weight", "lm_head.weight"}) {
    EXPECT_TRUE(state.contains(name)) << name;
  }
  EXPECT_EQ(state.size(), model.parameters().size() + model.buffers().size());
  Generator h(2);
  DeepSeekLM copy(c, h);
  copy.load_state(state);
  const Tensor ids = from_indices(std::vector<std::int32_t>{1, 2, 3}, {1, 3});
  EXPECT_EQ(copy.logits(ids).to_vector(), model.logits(ids).to_vector());
}

TEST(LM, LossIsCrossEntropyPlusTheBalanceLossOfEachLayer) {
  Draw draw(1);
  const DeepSeekConfig c = small_config();
  Generator g(1);
  DeepSeekLM model(c, g, wide);
  randomize(model, draw);
  const Tensor ids = draw.indices({2, 5}, c.vocab_size), targets = draw.indices({2, 5}, c.vocab_size);
  const LanguageModelLoss loss = model.losses(ids, targets);
  EXPECT_EQ(loss.cross_entropy.item(), cross_entropy(model.logits(ids), targets).item());
  EXPECT_GT(loss.auxiliary.item(), 0.5) << "two layers, each about α = 0.5";
  EXPECT_EQ(loss.total.item(), loss.cross_entropy.item() + loss.auxiliary.item());
  model.eval();
  EXPECT_EQ(model.loss(ids, targets).item(), loss.cross_entropy.item());
  EXPECT_FALSE(model.losses(ids, targets).auxiliary.defined());
}

TEST(LM, StartsAtTheLossOfGuessing) {
  DeepSeekConfig c = small_config();
  c.vocab_size = 65;
  c.hidden_size = 32;
  Generator g(1);
  DeepSeekLM model(c, g);
  model.eval();
  Draw draw(1);
  EXPECT_NEAR(model.loss(draw.indices({4, 16}, 65), draw.indices({4, 16}, 65)).item(), std::log(65.0), 0.1);
}

TEST(LM, ATiedHeadAddsItsGradientToTheEmbeddings) {
  Draw draw(1);
  DeepSeekConfig c = small_config();
  Generator g(1), h(1);
  DeepSeekLM tied(c, g, wide);
  randomize(tied, draw);
  c.tie_embeddings = false;
  DeepSeekLM untied(c, h, wide);
  auto state = tied.state();
  state["lm_head.weight"] = state["embed_tokens.weight"].clone();
  untied.load_state(state);
  const Tensor ids = draw.indices({2, 5}, c.vocab_size), targets = draw.indices({2, 5}, c.vocab_size);
  for (DeepSeekLM* model : {&tied, &untied}) {
    Tape tape;
    tape.backward(model->loss(ids, targets));
  }
  EXPECT_LT(largest_difference(tied.embed_tokens.weight.grad(),
                               untied.embed_tokens.weight.grad() + untied.lm_head->weight.grad()),
            1e-13);
}

FOLIO_PROPERTY(LM, AccumulatingMicroBatchesEqualsTheBigBatch) {
  Draw draw(seed);
  DeepSeekConfig c = drawn_config(draw);
  Generator g(1);
  DeepSeekLM model(c, g, wide);
  randomize(model, draw);
  const std::int64_t batch = draw.integer(2, 4), first = draw.integer(1, batch - 1), length = draw.integer(1, 6);
  const Tensor ids = draw.indices({batch, length}, c.vocab_size), targets = draw.indices({batch, length}, c.vocab_size);
  const auto gradients = [&] {
    Tensors all;
    for (const Parameter& p : model.parameters())
      all.push_back(p.value.grad().defined() ? p.value.grad() : zeros(p.value.shape(), wide));
    model.zero_grad();
    return all;
  };
  {
    Tape tape;
    tape.backward(model.loss(ids, targets));
  }
  const Tensors whole = gradients();
  for (const auto& [begin, end] : {std::pair(std::int64_t{0}, first), std::pair(first, batch)}) {
    Tape tape;  // each micro-batch weighs as much as it has tokens
    const double share = static_cast<double>(end - begin) / static_cast<double>(batch);
    tape.backward(model.loss(ids.slice(0, begin, end), targets.slice(0, begin, end)) * share);
  }
  const Tensors parts = gradients();
  for (std::size_t i = 0; i < whole.size(); ++i) RC_ASSERT(largest_difference(whole[i], parts[i]) < 1e-12);
  note_kind(shares, c);
  shares.note("in parts of unequal size", 2 * first != batch, 30);
  shares.note("of several tokens", length > 1, 60);
}

TEST(LM, DropoutDrawsAnewAtEachStepAndNotInEvaluation) {
  Draw draw(1);
  DeepSeekConfig c = small_config();
  c.dropout = 0.3;
  Generator g(1);
  DeepSeekLM model(c, g, wide);
  randomize(model, draw);
  const Tensor ids = draw.indices({2, 5}, c.vocab_size);
  const Generator start = model.dropout_generator();
  const auto first = model.logits(ids).to_vector();
  EXPECT_EQ(model.dropout_generator().position() - start.position(),
            static_cast<std::uint64_t>(1 + 2 * c.num_hidden_layers))
      << "of the embeddings, and in each layer of the attention and the experts";
  EXPECT_NE(model.logits(ids).to_vector(), first);
  model.dropout_generator() = start;
  EXPECT_EQ(model.logits(ids).to_vector(), first) << "two numbers restore the masks";
  model.eval();
  EXPECT_EQ(model.logits(ids).to_vector(), model.logits(ids).to_vector());
}

TEST(LM, RefusesWhatItCannotRead) {
  const DeepSeekConfig c = small_config();
  Generator g(1);
  DeepSeekLM model(c, g);
  Draw draw(1);
  EXPECT_THROW(model.logits(draw.indices({1, c.context + 1}, 3)), Error);
  EXPECT_THROW(model.logits(draw.indices({3}, 3)), Error);
  EXPECT_THROW(model.logits(zeros({1, 3})), Error);
  EXPECT_THROW(model.logits(full({1, 3}, 11, {DType::int32})), Error);
  DeepSeekConfig odd = c;
  odd.rope_head_dim = 3;
  EXPECT_THROW(DeepSeekLM(odd, g), Error);
}

/// Cosine of the angle between all gradients of two models.
double gradients_agree(const DeepSeekLM& a, const DeepSeekLM& b) {
  double product = 0, of_a = 0, of_b = 0;
  const Parameters left = a.parameters(), right = b.parameters();
  for (std::size_t i = 0; i < left.size(); ++i) {
    const auto x = left[i].value.grad().to_vector(), y = right[i].value.grad().to_vector();
    for (std::size_t j = 0; j < x.size(); ++j) product += x[j] * y[j], of_a += x[j] * x[j], of_b += y[j] * y[j];
  }
  return product / std::sqrt(of_a * of_b);
}

TEST(LM, ActivationsIn16BitsGiveGradientsInFloat32NearThoseOfFloat32) {
  Draw draw(3);
  DeepSeekConfig c = small_config();
  c.sequence_loss_alpha = 1e-3;
  const Tensor ids = draw.indices({2, 8}, c.vocab_size), targets = draw.indices({2, 8}, c.vocab_size);
  for (const bool tied : {true, false}) {
    c.tie_embeddings = tied;
    Generator g(1);
    DeepSeekLM reference(c, g);
    Tape tape;
    const LanguageModelLoss expected = reference.losses(ids, targets);
    const std::size_t saved = tape.saved_bytes();
    tape.backward(expected.total);
    for (const DType dtype : {DType::bfloat16, DType::float16}) {
      c.dtype = dtype;
      Generator h(1);
      DeepSeekLM model(c, h);
      Tape recording;
      const LanguageModelLoss loss = model.losses(ids, targets);
      EXPECT_EQ(loss.logits.dtype(), dtype);
      EXPECT_EQ(loss.total.dtype(), DType::float32);
      EXPECT_EQ(loss.auxiliary.dtype(), DType::float32);
      EXPECT_NEAR(loss.cross_entropy.item(), expected.cross_entropy.item(), 0.02);
      EXPECT_LT(static_cast<double>(recording.saved_bytes()), 0.75 * static_cast<double>(saved));
      recording.backward(loss.total);
      for (const Parameter& p : model.parameters()) EXPECT_EQ(p.value.grad().dtype(), DType::float32) << p.name;
      EXPECT_GT(gradients_agree(model, reference), 0.99) << name_of(dtype);
    }
    c.dtype = DType::float32;
  }
}

TEST(LM, DecodesInTheDtypeOfTheCache) {
  Draw draw(4);
  DeepSeekConfig c = small_config();
  c.dtype = DType::bfloat16;
  Generator g(1);
  DeepSeekLM model(c, g);
  model.eval();
  const Tensor ids = draw.indices({2, 6}, c.vocab_size);
  const Tensor whole = model.logits(ids).to(DType::float32);
  for (const DType dtype : {DType::float32, DType::bfloat16}) {
    LatentCache cache(c, 2, {dtype});
    const Tensor prompt = model.decode(ids.slice(1, 0, 4), cache), next = model.decode(ids.slice(1, 4, 5), cache);
    EXPECT_EQ(prompt.dtype(), dtype);
    EXPECT_EQ(cache.bytes_per_token(), LatentCache(c, 2).bytes_per_token() * size_of(dtype) / 4);
    const double size = root_mean_square(whole);
    EXPECT_LT(largest_difference(prompt.to(DType::float32), whole.slice(1, 0, 4)), 0.1 * size);
    EXPECT_LT(largest_difference(next.to(DType::float32), whole.slice(1, 4, 5)), 0.1 * size);
  }
}

TEST(LM, DecodingKeepsNoStatistics) {
  Draw draw(4);
  const DeepSeekConfig c = small_config();
  Generator g(1);
  DeepSeekLM model(c, g);
  model.eval();
  const Tensor ids = draw.indices({2, 6}, c.vocab_size);
  LatentCache cache = model.make_cache(2);
  model.decode(ids, cache);
  for (const RouterStatistics& layer : model.statistics()) EXPECT_EQ(layer.tokens, 0);
  model.logits(ids);
  for (const RouterStatistics& layer : model.statistics()) EXPECT_EQ(layer.tokens, 12);
}

/// Root of the mean square of a − b.
double distance(const Tensor& a, const Tensor& b) {
  return root_mean_square(a.to(DType::float64) - b.to(DType::float64));
}

/// Against the same model in float64: what 16 bits cost the full forward they may cost decoding, whose products are other
/// ones, twice. (Layers without experts: one rounding may send a token near a tie elsewhere.)
FOLIO_PROPERTY(LM, DecodingIn16BitsIsAsNearFloat64AsTheFullForward) {
  Draw draw(seed);
  DeepSeekConfig c = drawn_config(draw);
  c.first_k_dense = c.num_hidden_layers;
  Generator g(1), h(1);
  DeepSeekLM exact(c, g, wide);
  randomize(exact, draw);
  c.dtype = draw.chance(0.5) ? DType::bfloat16 : DType::float16;
  DeepSeekLM model(c, h);
  model.load_state(exact.state());
  exact.load_state(model.state());  // float32's numbers
  exact.eval();
  model.eval();
  const std::int64_t batch = draw.integer(1, 3), length = draw.integer(2, c.context);
  const Tensor ids = draw.indices({batch, length}, c.vocab_size);
  LatentCache cache = model.make_cache(batch);
  RC_ASSERT(cache.dtype() == c.dtype);
  Tensors chunks;
  for (std::int64_t at = 0; at < length;) {
    const std::int64_t n = draw.chance(0.5) ? 1 : draw.integer(1, length - at);
    chunks.push_back(model.decode(ids.slice(1, at, at + n), cache));
    at += n;
  }
  const Tensor truth = exact.logits(ids), full = model.logits(ids), decoded = concat(chunks, 1);
  RC_ASSERT(decoded.dtype() == c.dtype);
  const double last_bit = c.dtype == DType::bfloat16 ? 0x1p-8 : 0x1p-11;
  RC_ASSERT(distance(decoded, truth) <= 2 * (distance(full, truth) + last_bit * root_mean_square(truth)));
  shares.note("in bfloat16", c.dtype == DType::bfloat16, 30);
  shares.note("in several chunks", chunks.size() > 1, 70);
}

TEST(LM, AStepDownTheGradientLowersTheLoss) {
  Draw draw(1);
  const DeepSeekConfig c = small_config();
  Generator g(1);
  DeepSeekLM model(c, g);
  const Tensor ids = draw.indices({2, 8}, c.vocab_size), targets = draw.indices({2, 8}, c.vocab_size);
  double first = 0, last = 0;
  for (int step = 0; step < 60; ++step) {
    Tape tape;
    const LanguageModelLoss loss = model.losses(ids, targets);
    last = loss.cross_entropy.item();
    if (step == 0) first = last;
    tape.backward(loss.total);
    for (Parameter& p : model.parameters()) {
      if (p.value.grad().defined()) p.value.copy_from(p.value.detach() - 0.3 * p.value.grad());
    }
    model.zero_grad();
    model.update_router_bias();
  }
  EXPECT_LT(last, 0.8 * first);
}

}  // namespace folio::testing
