#pragma once
#include <vector>

#include "autograd/tensor.hpp"
#include "nn/config.hpp"

namespace folio {

/// What DeepSeekMLA remembers of past tokens: per layer and token the normed latent c and the rotated key part, that is
/// kv_lora + rope numbers with a shared rotary key and kv_lora + heads·rope with one per head, where plain attention
/// keeps heads·(nope + rope + v). (Recomputing per-head rotary keys from c would save memory but apply w_ur to the
/// history at every step, so they are kept.)
class LatentCache {
 public:
  /// One layer. All room is allocated at once; `length` tokens of it are in use.
  struct Layer {
    Tensor c;     ///< (B, capacity, kv_lora)
    Tensor k_pe;  ///< (B, capacity, rope), or (B, capacity, heads, rope) with one rotary key per head
    Tensor keys;  ///< [c | k_pe] (B, capacity, kv_lora + rope), of which both are slices; undefined with one per head
    std::int64_t length = 0;

    std::int64_t capacity() const { return c.dim(1); }
    /// Keeps c, `latent` wide, and k_pe beside each other in `both`.
    void share(const Tensor& both, std::int64_t latent);
    /// Copies the next tokens' rows in, behind those in use. An Error that changes nothing if there is no room, or if
    /// batch, widths, dtype or device are not the cache's.
    void append(const Tensor& c_new, const Tensor& k_pe_new);
  };

  /// Room for `capacity` tokens of each of `batch` sequences; 0 means config.context.
  LatentCache(const DeepSeekConfig& config, std::int64_t batch, Options options = {}, std::int64_t capacity = 0);
  LatentCache(LatentCache&&) = default;
  LatentCache& operator=(LatentCache&&) = default;
  /// A cache of the same tokens with room of its own, so that each of the two may go on by itself.
  LatentCache clone() const;

  /// Layer i, counted from 0; an Error if there is none.
  Layer& layer(std::int64_t i);
  std::int64_t layer_count() const { return static_cast<std::int64_t>(layers_.size()); }
  /// Tokens of each sequence; an Error if the layers do not hold equally many.
  std::int64_t length() const;
  std::int64_t capacity() const { return layers_.front().capacity(); }
  DType dtype() const { return layers_.front().c.dtype(); }
  /// Forgets all tokens behind the first `length` in every layer; keeps the room. An Error if a layer holds fewer.
  void truncate(std::int64_t length);
  void clear() { truncate(0); }

  /// Bytes that the allocator handed out for this cache, and their share per token of room, over all layers.
  std::size_t bytes() const;
  std::size_t bytes_per_token() const;
  /// What a cache of plain multi-head attention holds per token: heads·(nope + rope + v) numbers a layer.
  static std::size_t plain_attention_bytes_per_token(const DeepSeekConfig& config, DType dtype = DType::float32);

 private:
  LatentCache(const LatentCache&) = default;  // the same room: for clone(), which takes another

  std::vector<Layer> layers_;
};

}  // namespace folio
