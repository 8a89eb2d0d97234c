// Each pair of a head's last R channels turned by its angle.
#include "cuda/op.hpp"

namespace folio::FOLIO_CUDA {
namespace {

struct Heads {
  std::int64_t batch, time, head;  ///< strides of x
  std::int64_t length, heads, width, skip, pairs;
};

/// One thread per pack of V channels; their partners come from the same pack or from the cache. V is 1, or even and no
/// pack crosses the border between skipped, first and second channels. Reads x and writes y, 2·n·sizeof(T) bytes; the
/// table of angles, in Accumulator<T>, is read from memory once and from the cache for every other batch and head.
template <int V, typename T>
__global__ void __launch_bounds__(block_threads)
    rope_kernel(const T* x, const Accumulator<T>* turns, Heads s, bool interleaved, Accumulator<T> sign, std::int64_t n,
                T* y) {
  const std::int64_t i = thread_index() * V;
  if (i >= n) return;
  const std::int64_t c = i % s.width, h = i / s.width % s.heads, t = i / s.width / s.heads % s.length;
  const T* in = x + i / s.width / s.heads / s.length * s.batch + t * s.time + h * s.head;
  const Pack<T, V> own = load_pack<T, V>(in + c);
  if (c < s.skip) {
    store_pack(y + i, own);
    return;
  }
  const std::int64_t r = c - s.skip;
  Pack<T, V> partner, turned;
  if (!interleaved) {
    partner = load_pack<T, V>(r < s.pairs ? in + c + s.pairs : in + c - s.pairs);
  } else if constexpr (V == 1) {
    partner[0] = r % 2 == 0 ? in[c + 1] : in[c - 1];
  } else {
    for (int j = 0; j < V; ++j) partner[j] = own[j ^ 1];
  }
  for (int j = 0; j < V; ++j) {
    const bool second = interleaved ? (r + j) % 2 == 1 : r >= s.pairs;
    const std::int64_t pair = interleaved ? (r + j) / 2 : r + j - (second ? s.pairs : 0);
    const auto cosine = turns[t * 2 * s.pairs + pair], sine = sign * turns[(t * 2 + 1) * s.pairs + pair];
    const auto a = wide(own[j]) * cosine, b = wide(partner[j]) * sine;
    turned[j] = narrow<T>(second ? a + b : a - b);
  }
  store_pack(y + i, turned);
}

}  // namespace

void entry::rope(const Tensor& x, const Tensor& turns, std::int64_t skip, RopePairs layout, bool inverse, Tensor& y) {
  visit_stored(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    using A = Accumulator<T>;
    constexpr int V = Pack<T>::size;
    const Strides& stride = x.strides();
    const Heads heads = {stride[0], stride[1], stride[2], x.dim(1), x.dim(2), x.dim(3), skip, turns.dim(2)};
    const bool interleaved = layout == RopePairs::interleaved;
    bool whole = is_pack_aligned<Pack<T>>(x.ptr<T>()) && is_pack_aligned<Pack<T>>(y.ptr<T>());
    for (const std::int64_t extent :
         {heads.batch, heads.time, heads.head, heads.width, skip, interleaved ? V : heads.pairs}) {
      whole = whole && extent % V == 0;
    }
    const std::int64_t n = x.numel(), threads = whole ? n / V : n;
    launch(whole ? rope_kernel<V, T> : rope_kernel<1, T>, blocks_for(threads, threads_for(threads)),
           threads_for(threads), 0, stream(), x.ptr<T>(), turns.ptr<A>(), heads, interleaved, inverse ? A{-1} : A{1}, n,
           y.ptr<T>());
  });
}

}  // namespace folio::FOLIO_CUDA
