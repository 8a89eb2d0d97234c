#include "tests/cuda/emulator/demo/block_reduce.hpp"
#include "tests/cuda/emulator/demo/demo.hpp"

namespace folio::FOLIO_CUDA::demo {
namespace {

template <typename T>
__global__ void __launch_bounds__(1024)
    sum_rows_kernel(const T* __restrict__ x, Accumulator<T>* __restrict__ out, std::int64_t columns) {
  SHARED(Accumulator<T>, partial, [32]);
  const T* row = x + blockIdx.x * columns;
  Accumulator<T> sum = 0;
  for (std::int64_t c = threadIdx.x; c < columns; c += blockDim.x) sum += static_cast<Accumulator<T>>(row[c]);
  sum = reduce_block<Sum>(sum, partial);
  if (threadIdx.x == 0) out[blockIdx.x] = sum;
}

template <typename T>
__global__ void __launch_bounds__(1024)
    softmax_rows_kernel(const T* __restrict__ x, T* __restrict__ out, std::int64_t columns) {
  using A = Accumulator<T>;
  SHARED(A, partial, [32]);
  const T* row = x + blockIdx.x * columns;
  A largest = -INFINITY;
  for (std::int64_t c = threadIdx.x; c < columns; c += blockDim.x) largest = max(largest, static_cast<A>(row[c]));
  largest = reduce_block<Max>(largest, partial);
  A sum = 0;
  for (std::int64_t c = threadIdx.x; c < columns; c += blockDim.x) sum += exp(static_cast<A>(row[c]) - largest);
  sum = reduce_block<Sum>(sum, partial);
  for (std::int64_t c = threadIdx.x; c < columns; c += blockDim.x) {
    out[blockIdx.x * columns + c] = static_cast<T>(exp(static_cast<A>(row[c]) - largest) / sum);
  }
}

}  // namespace

template <typename T>
void sum_rows(const T* x, Accumulator<T>* out, std::int64_t rows, std::int64_t columns, int threads,
              cudaStream_t stream) {
  launch(sum_rows_kernel<T>, rows, threads, 0, stream, x, out, columns);
}

template <typename T>
void softmax_rows(const T* x, T* out, std::int64_t rows, std::int64_t columns, int threads, cudaStream_t stream) {
  launch(softmax_rows_kernel<T>, rows, threads, 0, stream, x, out, columns);
}

template void sum_rows(const float*, float*, std::int64_t, std::int64_t, int, cudaStream_t);
template void sum_rows(const double*, double*, std::int64_t, std::int64_t, int, cudaStream_t);
template void sum_rows(const bfloat16*, float*, std::int64_t, std::int64_t, int, cudaStream_t);
template void softmax_rows(const float*, float*, std::int64_t, std::int64_t, int, cudaStream_t);
template void softmax_rows(const double*, double*, std::int64_t, std::int64_t, int, cudaStream_t);
template void softmax_rows(const float16*, float16*, std::int64_t, std::int64_t, int, cudaStream_t);

}  // namespace folio::FOLIO_CUDA::demo
