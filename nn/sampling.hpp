#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "autograd/random.hpp"
#include "nn/deepseek_lm.hpp"

namespace folio {

/// How a token is drawn from logits: the `top_k` best (0: all), of those the smallest set whose probability reaches
/// `top_p`, sharpened by `temperature`; temperature 0 takes the best, the lowest id of a tie.
struct SamplingOptions {
  double temperature = 1;
  std::int64_t top_k = 0;
  double top_p = 1;
  std::int64_t vocabulary = 0;  ///< only ids below it, where a model has more outputs than its tokenizer tokens; 0: all
};

/// The token at u, uniform in [0, 1), of the distribution that `options` make of the logits. Non-finite probabilities
/// and options out of range are Errors.
std::int32_t sample_token(std::span<const double> logits, const SamplingOptions& options, double u);

struct GenerateOptions {
  SamplingOptions sampling = {};
  /// Decode with the latent cache; otherwise a full forward pass for each token, which the routers' statistics count.
  bool cache = true;
};

/// `count` tokens that continue the prompt (at least one token). Token i is drawn with element i of `stream`, so equal
/// arguments give equal text. `on_token` gets each token as it comes and returns whether to go on. The model is put
/// into evaluation mode and back.
///
/// Past the context length: without the cache, the model sees the last `context` tokens at each step. With it, a full
/// cache is cleared and primed again with the last half context, so each token sees between half and all of the
/// context; texts with and without the cache agree until then.
std::vector<std::int32_t> generate(DeepSeekLM& model, std::span<const std::int32_t> prompt, std::int64_t count,
                                   const GenerateOptions& options, RandomStream stream,
                                   const std::function<bool(std::int32_t)>& on_token = {});

}  // namespace folio
