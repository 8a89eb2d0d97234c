#include "tests/cuda/emulator/demo/demo.hpp"

namespace folio::FOLIO_CUDA::demo {
namespace {

constexpr int kThreads = 256;

template <typename T, int N>
__global__ void __launch_bounds__(kThreads)
    add_kernel(const T* __restrict__ a, const T* __restrict__ b, T* __restrict__ sum, std::int64_t n) {
  const std::int64_t first = (blockIdx.x * std::int64_t{kThreads} + threadIdx.x) * N;
  if (first + N <= n) {
    const Pack<T, N> x = load_pack<T, N>(a + first), y = load_pack<T, N>(b + first);
    Pack<T, N> z;
#pragma unroll
    for (int i = 0; i < N; ++i) {
      z[i] = static_cast<T>(static_cast<Accumulator<T>>(x[i]) + static_cast<Accumulator<T>>(y[i]));
    }
    store_pack(sum + first, z);
  } else {
    for (std::int64_t i = first; i < n; ++i) {
      sum[i] = static_cast<T>(static_cast<Accumulator<T>>(a[i]) + static_cast<Accumulator<T>>(b[i]));
    }
  }
}

}  // namespace

template <typename T>
void add(const T* a, const T* b, T* sum, std::int64_t n, cudaStream_t stream) {
  using Wide = Pack<T>;
  const bool aligned = is_pack_aligned<Wide>(a) && is_pack_aligned<Wide>(b) && is_pack_aligned<Wide>(sum);
  if (aligned) {
    launch(add_kernel<T, Wide::size>, blocks_for(n, kThreads * Wide::size), kThreads, 0, stream, a, b, sum, n);
  } else {
    launch(add_kernel<T, 1>, blocks_for(n, kThreads), kThreads, 0, stream, a, b, sum, n);
  }
}

template void add(const float*, const float*, float*, std::int64_t, cudaStream_t);
template void add(const double*, const double*, double*, std::int64_t, cudaStream_t);
template void add(const bfloat16*, const bfloat16*, bfloat16*, std::int64_t, cudaStream_t);
template void add(const float16*, const float16*, float16*, std::int64_t, cudaStream_t);

}  // namespace folio::FOLIO_CUDA::demo
