#pragma once
#include <functional>
#include <memory>
#include <vector>

#include "nn/deepseek_mla.hpp"
#include "nn/deepseek_moe.hpp"
#include "nn/dropout.hpp"
#include "nn/embedding.hpp"

namespace folio {

/// One layer: x + self_attn(norm(x)), then x + mlp(norm(x)), where mlp is a DeepSeekMoE or a dense SwiGLU.
class DecoderLayer : public Module {
 public:
  DecoderLayer(const DeepSeekConfig& config, std::int64_t index, std::shared_ptr<Generator> dropout_generator,
               Generator& generator, Options options);

  Tensor operator()(const Tensor& x, Auxiliary* auxiliary);
  Tensor decode(const Tensor& x, LatentCache::Layer& cache);

  RMSNorm input_layernorm;
  DeepSeekMLA self_attn;
  RMSNorm post_attention_layernorm;
  std::unique_ptr<DeepSeekMoE> moe;  ///< one of these two, named "mlp"
  std::unique_ptr<SwiGLU> dense;

 private:
  Dropout dropout_;
};

/// A loss and what it is made of.
struct LanguageModelLoss {
  Tensor total;          ///< (): what to differentiate: cross_entropy + auxiliary
  Tensor cross_entropy;  ///< (): mean nats per token
  Tensor auxiliary;      ///< (): the layers' balance losses; undefined in evaluation, or if there are none
  Tensor logits;         ///< (B, T, vocab)
};

/// DeepSeek's language model: embeddings, decoder layers, a norm and a head. Projections that write to the residual
/// stream (o, down) start with init_std/√(2·layers); the others, embeddings included, with init_std.
class DeepSeekLM : public Module {
 public:
  DeepSeekLM(const DeepSeekConfig& config, Generator& generator, Options options = {});

  const DeepSeekConfig& config() const { return config_; }
  Options options() const { return embed_tokens.weight.options(); }
  /// Of activations: that of the weights where those are of 16 bits (see to(DType)), else the configuration's 16-bit
  /// dtype, or else that of the parameters.
  DType activation_dtype() const {
    return is_half(config_.dtype) && !is_half(options().dtype) ? config_.dtype : options().dtype;
  }
  /// Room for `capacity` tokens of each of `batch` sequences (0: the context), in the dtype of the activations and where
  /// the parameters are, so that decoding computes as `logits` does.
  LatentCache make_cache(std::int64_t batch, std::int64_t capacity = 0) const {
    return {config_, batch, {activation_dtype(), options().device}, capacity};
  }

  /// ids (B, T) index, T ≤ context → (B, T, vocab).
  Tensor logits(const Tensor& ids, Auxiliary* auxiliary = nullptr);
  /// Mean cross-entropy of targets (B, T); plus the balance losses while training.
  Tensor loss(const Tensor& ids, const Tensor& targets) { return losses(ids, targets).total; }
  LanguageModelLoss losses(const Tensor& ids, const Tensor& targets);

  /// Logits of the next tokens, ids (B, n), behind those in the cache, which it extends: (B, n, vocab), or (B, 1,
  /// vocab) of the last alone. Activations are of the cache's dtype. Nothing is recorded, and routers keep no statistics.
  /// In evaluation mode only: training would drop out. Where it throws the cache holds what it held.
  Tensor decode(const Tensor& ids, LatentCache& cache, bool last_only = false);

  /// Per layer with experts: see DeepSeekMoE. `update_router_bias` belongs after each optimizer step.
  std::vector<RouterStatistics> statistics() const;
  void reset_statistics();
  std::vector<RouterStatistics> update_router_bias();
  void set_bias_scheme(const std::function<std::unique_ptr<BiasScheme>()>& make);

  /// Where dropout draws its masks from: to be saved with a run.
  Generator& dropout_generator() { return *dropout_generator_; }

  std::vector<std::unique_ptr<DecoderLayer>> layers;
  Embedding embed_tokens;
  RMSNorm norm;
  std::unique_ptr<Linear> lm_head;  ///< null where it is tied to the embedding

 private:
  Tensor head(const Tensor& x) const;
  void check_ids(const Tensor& ids, std::int64_t position) const;

  DeepSeekConfig config_;
  std::shared_ptr<Generator> dropout_generator_;
  Dropout dropout_;
};

}  // namespace folio
