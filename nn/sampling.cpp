#include "nn/sampling.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "autograd/tape.hpp"

namespace folio {
namespace {

void check(const SamplingOptions& o, std::size_t classes) {
  require(classes > 0, [] { return std::string("sample_token: there are no logits"); });
  require(std::isfinite(o.temperature) && o.temperature >= 0, [&] {
    return "sample_token: temperature is " + std::to_string(o.temperature) + ", it must not be negative";
  });
  require(o.top_k >= 0,
          [&] { return "sample_token: top_k is " + std::to_string(o.top_k) + ", it must not be negative"; });
  require(o.vocabulary >= 0,
          [&] { return "sample_token: vocabulary is " + std::to_string(o.vocabulary) + ", it must not be negative"; });
  require(o.top_p > 0 && o.top_p <= 1,
          [&] { return "sample_token: top_p is " + std::to_string(o.top_p) + ", it must be in (0, 1]"; });
}

/// The part of `tokens` that a model of this context sees, as (1, n).
Tensor window(const std::vector<std::int32_t>& tokens, std::int64_t longest, Device device) {
  const auto n = std::min<std::int64_t>(longest, static_cast<std::int64_t>(tokens.size()));
  return from_indices(std::span(tokens).last(static_cast<std::size_t>(n)), {1, n}).to(device);
}

}  // namespace

std::int32_t sample_token(std::span<const double> logits, const SamplingOptions& options, double u) {
  check(options, logits.size());
  if (options.vocabulary > 0) {
    logits = logits.first(std::min(logits.size(), static_cast<std::size_t>(options.vocabulary)));
  }
  for (double x : logits) {
    require(!std::isnan(x) && x < INFINITY,
            [] { return std::string("sample_token: a logit is not a number or infinite"); });
  }
  const auto best = std::max_element(logits.begin(), logits.end());  // the first of equals
  require(std::isfinite(*best), [] { return std::string("sample_token: all logits are minus infinity"); });
  if (options.temperature == 0) return static_cast<std::int32_t>(best - logits.begin());

  std::vector<std::int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  const auto at = [&](std::int32_t id) { return logits[static_cast<std::size_t>(id)]; };
  std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) { return at(a) > at(b); });
  if (options.top_k > 0) order.resize(std::min(order.size(), static_cast<std::size_t>(options.top_k)));

  std::vector<double> cumulative;
  cumulative.reserve(order.size());
  double total = 0;
  for (std::int32_t id : order) cumulative.push_back(total += std::exp((at(id) - *best) / options.temperature));
  if (options.top_p < 1) {
    const auto enough = std::lower_bound(cumulative.begin(), cumulative.end(), options.top_p * total);
    cumulative.resize(static_cast<std::size_t>(std::min(enough, cumulative.end() - 1) - cumulative.begin()) + 1);
  }
  const auto drawn = std::upper_bound(cumulative.begin(), cumulative.end(), u * cumulative.back());
  return order[static_cast<std::size_t>(std::min(drawn, cumulative.end() - 1) - cumulative.begin())];
}

std::vector<std::int32_t> generate(DeepSeekLM& model, std::span<const std::int32_t> prompt, std::int64_t count,
                                   const GenerateOptions& options, RandomStream stream,
                                   const std::function<bool(std::int32_t)>& on_token) {
  require(!prompt.empty(), [] { return std::string("generate: the prompt is empty; it needs at least one token"); });
  require(count >= 0, [&] { return "generate: " + std::to_string(count) + " tokens: give a number of at least 0"; });
  check(options.sampling, static_cast<std::size_t>(model.config().vocab_size));
  const NoRecording pause;
  const Evaluating mode(model);
  const std::int64_t context = model.config().context;
  const Device device = model.options().device;
  std::vector<std::int32_t> tokens(prompt.begin(), prompt.end()), made;
  std::optional<LatentCache> cache;
  const std::int64_t longest = std::ssize(prompt) + std::min(count, context);  // what the cache ever holds
  if (options.cache) cache = model.make_cache(1, std::min(context, longest));

  for (std::int64_t i = 0; i < count; ++i) {
    Tensor logits;  // (1, n, vocab): the last row counts
    if (!cache) {
      logits = model.logits(window(tokens, context, device));
    } else if (cache->length() > 0 && cache->length() < context) {
      logits = model.decode(window(tokens, 1, device), *cache, true);
    } else {
      const bool first = cache->length() == 0;
      cache->clear();
      logits =
          model.decode(window(tokens, first ? context : std::max<std::int64_t>(1, context / 2), device), *cache, true);
    }
    const Tensor last = logits.slice(1, logits.dim(1) - 1, logits.dim(1));
    tokens.push_back(sample_token(last.to_vector(), options.sampling, stream.uniform(i)));
    made.push_back(tokens.back());
    if (on_token && !on_token(made.back())) break;
  }
  return made;
}

}  // namespace folio
