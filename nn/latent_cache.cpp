#include "nn/latent_cache.hpp"

#include <utility>

namespace folio {

namespace {

/// The rows of one tensor of a layer must be like those that it keeps.
void check_rows(const char* what, const Tensor& rows, const Tensor& kept, std::int64_t tokens) {
  Shape wanted = kept.shape();
  wanted[1] = tokens;
  require(rows.shape() == wanted && rows.dtype() == kept.dtype() && rows.device() == kept.device(), [&] {
    return std::string("LatentCache: new rows of ") + what + " are " + describe(rows) + " on " +
           name_of(rows.device()) + ", the cache holds " + describe(kept) + " on " + name_of(kept.device()) +
           ": make it for this model's config, batch, dtype and device";
  });
}

}  // namespace

void LatentCache::Layer::share(const Tensor& both, std::int64_t latent) {
  keys = both;
  c = keys.slice(-1, 0, latent);
  k_pe = keys.slice(-1, latent, keys.dim(-1));
}

void LatentCache::Layer::append(const Tensor& c_new, const Tensor& k_pe_new) {
  require(c_new.rank() == 3, [&] { return "LatentCache: needs c (batch, tokens, kv_lora), got " + describe(c_new); });
  check_rows("c", c_new, c, c_new.dim(1));
  check_rows("k_pe", k_pe_new, k_pe, c_new.dim(1));
  const std::int64_t end = length + c_new.dim(1);
  require(end <= capacity(), [&] {
    return "LatentCache: " + std::to_string(length) + " tokens and " + std::to_string(c_new.dim(1)) +
           " more do not fit into room for " + std::to_string(capacity()) + ": clear() it or make it larger";
  });
  c.slice(1, length, end).copy_from(c_new);
  k_pe.slice(1, length, end).copy_from(k_pe_new);
  length = end;
}

LatentCache::LatentCache(const DeepSeekConfig& config, std::int64_t batch, Options options, std::int64_t capacity) {
  require(capacity >= 0, [&] {
    return "LatentCache: room for " + std::to_string(capacity) +
           " tokens: it must be at least 0, which means the context";
  });
  const std::int64_t room = capacity > 0 ? capacity : config.context;
  const std::int64_t latent = config.kv_lora_rank, turned = config.rope_head_dim;
  for (std::int64_t i = 0; i < config.num_hidden_layers; ++i) {
    Layer layer;
    if (config.rotary_key == RotaryKey::per_head) {
      layer.c = zeros({batch, room, latent}, options);
      layer.k_pe = zeros({batch, room, config.num_attention_heads, turned}, options);
    } else {
      layer.share(zeros({batch, room, latent + turned}, options), latent);
    }
    layers_.push_back(std::move(layer));
  }
}

LatentCache::Layer& LatentCache::layer(std::int64_t i) {
  require(i >= 0 && i < layer_count(), [&] {
    return "LatentCache: it has " + std::to_string(layer_count()) + " layers and none of number " + std::to_string(i) +
           ": make it for this model's config";
  });
  return layers_[static_cast<std::size_t>(i)];
}

LatentCache LatentCache::clone() const {
  LatentCache twin(*this);
  for (Layer& layer : twin.layers_) {
    if (layer.keys.defined()) {
      layer.share(layer.keys.clone(), layer.c.dim(2));
    } else {
      layer.c = layer.c.clone();
      layer.k_pe = layer.k_pe.clone();
    }
  }
  return twin;
}

std::int64_t LatentCache::length() const {
  const std::int64_t first = layers_.front().length;
  for (const Layer& layer : layers_) {
    require(layer.length == first, [&] {
      return "LatentCache: one layer holds " + std::to_string(first) + " tokens and another " +
             std::to_string(layer.length) + ": truncate() it to what all of them hold";
    });
  }
  return first;
}

void LatentCache::truncate(std::int64_t length) {
  for (const Layer& layer : layers_) {
    require(length >= 0 && length <= layer.length, [&] {
      return "LatentCache: truncate to " + std::to_string(length) + " tokens: a layer holds " +
             std::to_string(layer.length);
    });
  }
  for (Layer& layer : layers_) layer.length = length;
}

std::size_t LatentCache::bytes() const {
  std::size_t total = 0;
  for (const Layer& layer : layers_) {
    total += layer.c.storage()->bytes();
    if (!layer.keys.defined()) total += layer.k_pe.storage()->bytes();
  }
  return total;
}

std::size_t LatentCache::bytes_per_token() const {
  const auto tokens = static_cast<std::size_t>(layers_.front().c.dim(0) * capacity());
  return tokens == 0 ? 0 : bytes() / tokens;
}

std::size_t LatentCache::plain_attention_bytes_per_token(const DeepSeekConfig& config, DType dtype) {
  const std::int64_t numbers = config.num_attention_heads * (config.q_head_dim() + config.v_head_dim);
  return static_cast<std::size_t>(config.num_hidden_layers * numbers) * size_of(dtype);
}

}  // namespace folio
