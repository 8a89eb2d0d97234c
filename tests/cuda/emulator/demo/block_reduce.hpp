#pragma once
#include "cuda/kernel.hpp"

namespace folio::FOLIO_CUDA::demo {

struct Sum {
  template <typename A>
  __device__ static A combine(A a, A b) {
    return a + b;
  }
};
struct Max {
  template <typename A>
  __device__ static A combine(A a, A b) {
    return a > b ? a : b;
  }
};

/// The reduction of `value` over the block's threads (a multiple of 32), given to all of them. `partial` is shared
/// memory, 32 values; ends with a barrier, so that it may be used again at once.
template <typename Operation, typename A>
__device__ A reduce_block(A value, A* partial) {
  const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
  for (int distance = 16; distance > 0; distance /= 2) {
    value = Operation::combine(value, __shfl_xor_sync(0xffffffffu, value, distance));
  }
  if (lane == 0) partial[warp] = value;
  __syncthreads();
  A all = partial[0];
  for (unsigned w = 1; w < warps; ++w) all = Operation::combine(all, partial[w]);
  __syncthreads();
  return all;
}

}  // namespace folio::FOLIO_CUDA::demo
