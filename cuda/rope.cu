// Each pair of a head's last R channels turned by its angle. One thread per channel; the partner comes from the cache.
// Reads x and writes y: 8 bytes per float32 element, and the table of angles once.
#include "cuda/op.hpp"

namespace folio::FOLIO_CUDA {
namespace {

struct Heads {
  std::int64_t batch, time, head;  ///< strides of x
  std::int64_t length, heads, width, skip, pairs;
};

template <typename T>
__global__ void __launch_bounds__(block_threads)
    rope_kernel(const T* x, const T* turns, Heads s, bool interleaved, T sign, std::int64_t n, T* y) {
  const std::int64_t i = thread_index();
  if (i >= n) return;
  const std::int64_t c = i % s.width, h = i / s.width % s.heads, t = i / s.width / s.heads % s.length;
  const T* in = x + i / s.width / s.heads / s.length * s.batch + t * s.time + h * s.head;
  if (c < s.skip) {
    y[i] = in[c];
    return;
  }
  const std::int64_t r = c - s.skip;
  const std::int64_t pair = interleaved ? r / 2 : r % s.pairs;
  const bool second = interleaved ? r % 2 == 1 : r >= s.pairs;
  const std::int64_t step = interleaved ? 1 : s.pairs;
  const T cosine = turns[t * 2 * s.pairs + pair], sine = sign * turns[(t * 2 + 1) * s.pairs + pair];
  y[i] = second ? in[c] * cosine + in[c - step] * sine : in[c] * cosine - in[c + step] * sine;
}

}  // namespace

void entry::rope(const Tensor& x, const Tensor& turns, std::int64_t skip, RopePairs layout, bool inverse, Tensor& y) {
  visit_float(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const Strides& stride = x.strides();
    const Heads heads = {stride[0], stride[1], stride[2], x.dim(1), x.dim(2), x.dim(3), skip, turns.dim(2)};
    const std::int64_t n = x.numel();
    launch(rope_kernel<T>, blocks_for(n, threads_for(n)), threads_for(n), 0, stream(), x.ptr<T>(), turns.ptr<T>(),
           heads, layout == RopePairs::interleaved, inverse ? T{-1} : T{1}, n, y.ptr<T>());
  });
}

}  // namespace folio::FOLIO_CUDA
