#pragma once
#include <memory>

#include "nn/config.hpp"
#include "nn/latent_cache.hpp"
#include "nn/linear.hpp"
#include "nn/rms_norm.hpp"

namespace folio {

/// Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1; V3, arXiv 2412.19437, eq. 1–11):
///
///     q = q_b(norm(q_a x)), per head [nope | rope]          one projection q where q_lora_rank is 0
///     [c | k_pe] = kv_a x,  c ← norm(c)                     k_pe: one rotary key for all heads
///     [k_nope | v] = kv_b c, per head                       per-head variant: k_pe = w_ur c, per head
///     o(softmax((q_nope·k_nope + rope(q_pe)·rope(k_pe))/√(nope + rope))·v)
class DeepSeekMLA : public Module {
 public:
  /// `residual_std` is that of the output projection, smaller in deep models.
  DeepSeekMLA(const DeepSeekConfig& config, Generator& generator, Options options = {}, double residual_std = 0.02);

  /// x (B, T, hidden) → (B, T, hidden), causal, positions 0 … T − 1.
  Tensor operator()(const Tensor& x) const;

  /// The same for the next tokens behind those in the cache, which it extends; where it throws the cache is as it was.
  /// Inference only: nothing is recorded.
  /// kv_b is absorbed (arXiv 2405.04434, appendix C): its key half into the queries, its value half into the output, so
  /// the history is read as latents and never multiplied by kv_b.
  Tensor decode(const Tensor& x, LatentCache::Layer& cache) const;

  std::unique_ptr<Linear> q, q_a, q_b;  ///< q, or q_a and q_b
  std::unique_ptr<RMSNorm> q_a_norm;
  Linear kv_a;  ///< (kv_lora + rope, hidden), or (kv_lora, hidden) with one rotary key per head
  RMSNorm kv_a_norm;
  Linear kv_b;                   ///< (heads·(nope + v), kv_lora)
  std::unique_ptr<Linear> w_ur;  ///< (heads·rope, kv_lora), only with one rotary key per head
  Linear o;                      ///< (hidden, heads·v)

 private:
  struct Projected {
    Tensor q;     ///< (B, T, H, nope + rope), rotated
    Tensor c;     ///< (B, T, kv_lora), normed
    Tensor k_pe;  ///< (B, T, rope) or (B, T, H, rope), rotated
  };
  Projected project(const Tensor& x, std::int64_t position) const;
  /// What q (B, n, H, nope + rope), at positions from `offset` on, see of the cache, which holds those too: (B, n,
  /// hidden).
  Tensor attend(const Tensor& q, const LatentCache::Layer& cache, std::int64_t offset) const;

  DeepSeekConfig config_;
  double scale_;
};

}  // namespace folio
