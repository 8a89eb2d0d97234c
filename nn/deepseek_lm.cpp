#include "nn/deepseek_lm.hpp"

#include <cmath>

#include "autograd/tape.hpp"

namespace folio {
namespace {

double residual_std(const DeepSeekConfig& c) {
  return c.init_std / std::sqrt(2.0 * static_cast<double>(c.num_hidden_layers));
}

/// A seed for draws that go on while the model trains, apart from those of its initialisation.
std::uint64_t seed_of(RandomStream stream) {
  const auto words = stream.block(0);
  return std::uint64_t{words[0]} << 32 | words[1];
}

const DeepSeekConfig& validated(const DeepSeekConfig& config) {
  config.validate();
  return config;
}

}  // namespace

DecoderLayer::DecoderLayer(const DeepSeekConfig& c, std::int64_t index, std::shared_ptr<Generator> dropout_generator,
                           Generator& generator, Options options)
    : input_layernorm(c.hidden_size, options, c.rms_norm_eps),
      self_attn(c, generator, options, residual_std(c)),
      post_attention_layernorm(c.hidden_size, options, c.rms_norm_eps),
      dropout_(c.dropout, std::move(dropout_generator)) {
  add_child("input_layernorm", input_layernorm);
  add_child("self_attn", self_attn);
  add_child("post_attention_layernorm", post_attention_layernorm);
  if (c.has_experts(index)) {
    moe = std::make_unique<DeepSeekMoE>(c, generator, options, residual_std(c));
    add_child("mlp", *moe);
  } else {
    dense = std::make_unique<SwiGLU>(c.hidden_size, c.dense_intermediate_size, generator, options, c.init_std,
                                     residual_std(c));
    add_child("mlp", *dense);
  }
  add_child("dropout", dropout_);
}

Tensor DecoderLayer::operator()(const Tensor& x, Auxiliary* auxiliary) {
  const Tensor h = x + dropout_(self_attn(input_layernorm(x)));  // (B, T, hidden)
  const Tensor z = post_attention_layernorm(h);                  // (B, T, hidden)
  return h + dropout_(moe ? (*moe)(z, auxiliary) : (*dense)(z));
}

Tensor DecoderLayer::decode(const Tensor& x, LatentCache::Layer& cache) {
  require(!training(), [] { return std::string("DecoderLayer: decode is for evaluation; call eval() first"); });
  const Tensor h = x + self_attn.decode(input_layernorm(x), cache);  // (B, n, hidden)
  const Tensor z = post_attention_layernorm(h);                      // (B, n, hidden)
  return h + (moe ? moe->decode(z) : (*dense)(z));
}

DeepSeekLM::DeepSeekLM(const DeepSeekConfig& c, Generator& generator, Options options)
    : embed_tokens(validated(c).vocab_size, c.hidden_size, generator, options, c.init_std),
      norm(c.hidden_size, options, c.rms_norm_eps),
      config_(c),
      dropout_generator_(std::make_shared<Generator>(seed_of(generator.next_stream()))),
      dropout_(c.dropout, dropout_generator_) {
  add_child("embed_tokens", embed_tokens);
  for (std::int64_t i = 0; i < c.num_hidden_layers; ++i) {
    layers.push_back(std::make_unique<DecoderLayer>(c, i, dropout_generator_, generator, options));
    add_child("layers." + std::to_string(i), *layers.back());
  }
  add_child("norm", norm);
  if (!c.tie_embeddings) {
    lm_head = std::make_unique<Linear>(c.hidden_size, c.vocab_size, generator, options, c.init_std, false,
                                       Linear::Place::head);
    add_child("lm_head", *lm_head);
  }
  add_child("dropout", dropout_);
}

void DeepSeekLM::check_ids(const Tensor& ids, std::int64_t position) const {
  require(ids.rank() == 2 && !is_float(ids.dtype()),
          [&] { return "DeepSeekLM: needs token ids (batch, tokens) of an index dtype, got " + describe(ids); });
  require(position + ids.dim(1) <= config_.context, [&] {
    return "DeepSeekLM: " + std::to_string(position + ids.dim(1)) + " tokens exceed the context of " +
           std::to_string(config_.context);
  });
}

Tensor DeepSeekLM::head(const Tensor& x) const {
  return lm_head ? (*lm_head)(norm(x)) : linear(norm(x), embed_tokens.weight);
}

Tensor DeepSeekLM::logits(const Tensor& ids, Auxiliary* auxiliary) {
  check_ids(ids, 0);
  Tensor x = dropout_(embed_tokens(ids).to(activation_dtype()));  // (B, T, hidden)
  for (auto& layer : layers) x = (*layer)(x, auxiliary);
  return head(x);  // (B, T, vocab)
}

LanguageModelLoss DeepSeekLM::losses(const Tensor& ids, const Tensor& targets) {
  Auxiliary auxiliary;
  LanguageModelLoss result;
  result.logits = logits(ids, &auxiliary);
  result.cross_entropy = folio::cross_entropy(result.logits, targets);
  result.auxiliary = auxiliary.total();
  result.total = result.auxiliary.defined() ? result.cross_entropy + result.auxiliary : result.cross_entropy;
  return result;
}

Tensor DeepSeekLM::decode(const Tensor& ids, LatentCache& cache, bool last_only) {
  const NoRecording pause;
  const std::int64_t past = cache.length();
  check_ids(ids, past);
  require(cache.layer_count() == config_.num_hidden_layers, [&] {
    return "DeepSeekLM: the LatentCache has " + std::to_string(cache.layer_count()) + " layers, the model " +
           std::to_string(config_.num_hidden_layers) + ": make it for this model's config";
  });
  require(!last_only || ids.dim(1) > 0,
          [] { return std::string("DeepSeekLM: decode of no tokens has no last one; give at least one"); });
  try {
    Tensor x = embed_tokens(ids).to(cache.dtype());  // (B, n, hidden)
    for (std::size_t i = 0; i < layers.size(); ++i) x = layers[i]->decode(x, cache.layer(static_cast<std::int64_t>(i)));
    if (last_only) x = x.slice(1, x.dim(1) - 1, x.dim(1));
    return head(x);
  } catch (...) {
    cache.truncate(past);
    throw;
  }
}

std::vector<RouterStatistics> DeepSeekLM::statistics() const {
  std::vector<RouterStatistics> all;
  for (const auto& layer : layers) {
    if (layer->moe) all.push_back(layer->moe->statistics());
  }
  return all;
}

void DeepSeekLM::reset_statistics() {
  for (auto& layer : layers) {
    if (layer->moe) layer->moe->reset_statistics();
  }
}

std::vector<RouterStatistics> DeepSeekLM::update_router_bias() {
  std::vector<RouterStatistics> all;
  for (auto& layer : layers) {
    if (layer->moe) all.push_back(layer->moe->update_bias());
  }
  return all;
}

void DeepSeekLM::set_bias_scheme(const std::function<std::unique_ptr<BiasScheme>()>& make) {
  for (auto& layer : layers) {
    if (layer->moe) layer->moe->set_bias_scheme(make());
  }
}

}  // namespace folio
