#include "nn/deepseek_mla.hpp"

#include <cmath>

#include "autograd/tape.hpp"

namespace folio {

DeepSeekMLA::DeepSeekMLA(const DeepSeekConfig& c, Generator& generator, Options options, double residual_std)
    : kv_a(c.hidden_size, c.kv_lora_rank + (c.rotary_key == RotaryKey::shared ? c.rope_head_dim : 0), generator,
           options, c.init_std),
      kv_a_norm(c.kv_lora_rank, options, c.rms_norm_eps),
      kv_b(c.kv_lora_rank, c.num_attention_heads * (c.nope_head_dim + c.v_head_dim), generator, options, c.init_std),
      o(c.num_attention_heads * c.v_head_dim, c.hidden_size, generator, options, residual_std),
      config_(c),
      scale_(1 / std::sqrt(static_cast<double>(c.q_head_dim()))) {
  const std::int64_t width = c.num_attention_heads * c.q_head_dim();
  if (c.q_lora_rank > 0) {
    q_a = std::make_unique<Linear>(c.hidden_size, c.q_lora_rank, generator, options, c.init_std);
    q_a_norm = std::make_unique<RMSNorm>(c.q_lora_rank, options, c.rms_norm_eps);
    q_b = std::make_unique<Linear>(c.q_lora_rank, width, generator, options, c.init_std);
    add_child("q_a", *q_a);
    add_child("q_a_norm", *q_a_norm);
    add_child("q_b", *q_b);
  } else {
    q = std::make_unique<Linear>(c.hidden_size, width, generator, options, c.init_std);
    add_child("q", *q);
  }
  add_child("kv_a", kv_a);
  add_child("kv_a_norm", kv_a_norm);
  add_child("kv_b", kv_b);
  if (c.rotary_key == RotaryKey::per_head) {
    w_ur = std::make_unique<Linear>(c.kv_lora_rank, c.num_attention_heads * c.rope_head_dim, generator, options,
                                    c.init_std);
    add_child("w_ur", *w_ur);
  }
  add_child("o", o);
}

DeepSeekMLA::Projected DeepSeekMLA::project(const Tensor& x, std::int64_t position) const {
  require(x.rank() == 3, [&] { return "DeepSeekMLA: needs (batch, tokens, hidden), got " + describe(x); });
  const std::int64_t batch = x.dim(0), tokens = x.dim(1), heads = config_.num_attention_heads;
  const std::int64_t nope = config_.nope_head_dim, turned = config_.rope_head_dim, latent = config_.kv_lora_rank;
  RopeOptions at = {.pairs = config_.rope_pairs, .base = config_.rope_base, .offset = position};

  const Tensor k_and_c = kv_a(x);  // (B, T, kv_lora [+ rope])
  Tensor c, k_pe;
  if (w_ur) {
    c = kv_a_norm(k_and_c);                                               // (B, T, kv_lora)
    k_pe = rope((*w_ur)(c).reshape({batch, tokens, heads, turned}), at);  // (B, T, H, rope)
  } else {
    const Tensors parts = split(k_and_c, {latent, turned}, -1);
    c = kv_a_norm(parts[0]);  // (B, T, kv_lora)
    k_pe = rope(parts[1].reshape({batch, tokens, 1, turned}), at).reshape({batch, tokens, turned});
  }
  const Tensor flat = q ? (*q)(x) : (*q_b)((*q_a_norm)((*q_a)(x)));  // (B, T, H·(nope + rope))
  at.skip = nope;
  return {rope(flat.reshape({batch, tokens, heads, nope + turned}), at), c, k_pe};
}

Tensor DeepSeekMLA::operator()(const Tensor& x) const {
  const auto [q, c, k_pe] = project(x, 0);
  const std::int64_t batch = x.dim(0), tokens = x.dim(1), heads = config_.num_attention_heads;
  const std::int64_t nope = config_.nope_head_dim, v_width = config_.v_head_dim;
  const Tensors kv = split(kv_b(c).reshape({batch, tokens, heads, nope + v_width}), {nope, v_width}, -1);
  const Tensor y = w_ur ? causal_attention(q, concat({kv[0], k_pe}, -1), kv[1], {}, scale_)
                        : causal_attention(q, kv[0], kv[1], k_pe, scale_);  // (B, T, H, v)
  return o(y.reshape({batch, tokens, heads * v_width}));
}

Tensor DeepSeekMLA::decode(const Tensor& x, LatentCache::Layer& cache) const {
  const NoRecording pause;
  const std::int64_t offset = cache.length;
  const auto [q, c_new, k_pe_new] = project(x, offset);
  cache.append(c_new, k_pe_new);
  try {
    return attend(q, cache, offset);
  } catch (...) {
    cache.length = offset;
    throw;
  }
}

Tensor DeepSeekMLA::attend(const Tensor& q, const LatentCache::Layer& cache, std::int64_t offset) const {
  const std::int64_t batch = q.dim(0), n = q.dim(1), past = cache.length, heads = config_.num_attention_heads;
  const std::int64_t nope = config_.nope_head_dim, turned = config_.rope_head_dim, v_width = config_.v_head_dim;
  const std::int64_t latent = config_.kv_lora_rank;
  const Tensor up = kv_b.weight.to(q.dtype()).reshape({heads, nope + v_width, latent});
  const Tensor w_uk = up.slice(1, 0, nope);                                                  // (H, nope, kv_lora)
  const Tensor w_uv = up.slice(1, nope, nope + v_width);                                     // (H, v, kv_lora)
  const Tensor q_pe = q.slice(-1, nope, nope + turned);                                      // (B, n, H, rope)
  const Tensor q_nope = q.slice(-1, 0, nope);                                                // (B, n, H, nope)
  const Tensor q_latent = matmul(q_nope.permute({0, 2, 1, 3}), w_uk).permute({0, 2, 1, 3});  // (B, n, H, kv_lora)

  // The latents are keys and values of all heads.
  const auto for_all_heads = [&](const Tensor& rows) {
    const std::int64_t width = rows.dim(2);
    return rows.slice(1, 0, past).reshape({batch, past, 1, width}).expand({batch, past, heads, width});
  };
  const Tensor latents = for_all_heads(cache.c);
  const Tensor seen =
      w_ur ? causal_attention(concat({q_pe, q_latent}, -1), cache.k_pe.slice(1, 0, past), latents,
                              cache.c.slice(1, 0, past), scale_, offset)
           : causal_attention(concat({q_latent, q_pe}, -1), for_all_heads(cache.keys), latents, {}, scale_, offset);
  const Tensor y = matmul(seen.permute({0, 2, 1, 3}), w_uv.transpose(1, 2));  // (B, H, n, v)
  return o(y.permute({0, 2, 1, 3}).reshape({batch, n, heads * v_width}));
}

}  // namespace folio
