#pragma once
/// The one header that a `.cu` file includes. The file is built twice, by nvcc for a GPU and by a C++ compiler for
/// the emulator, into two namespaces, so that one program can hold both:
///
///     namespace folio::FOLIO_CUDA {            // folio::cuda or folio::cuda_emulated
///     template <typename T>
///     __global__ void __launch_bounds__(256) double_all(T* x, std::int64_t n) {
///       const std::int64_t i = blockIdx.x * std::int64_t{blockDim.x} + threadIdx.x;
///       if (i < n) x[i] += x[i];
///     }
///     void double_all(float* x, std::int64_t n, cudaStream_t stream) {
///       launch(double_all<float>, blocks_for(n, 256), 256, 0, stream, x, n);
///     }
///     }
///
/// Kernels are plain CUDA: threadIdx and its like, __syncthreads, __syncwarp, shuffles and votes with masks, atomics,
/// vector types, the usual functions. Shared memory is declared with SHARED(T, name, [dims]) and
/// DYN_SHARED(T, name). Not used, since nothing but a GPU runs them: inline PTX, cooperative groups, __constant__,
/// one block waiting for another. check(...) wraps every call of the runtime; it throws folio::Error.
#ifdef FOLIO_CUDA_EMULATED
#define FOLIO_CUDA cuda_emulated
#include "cuda/emulated/device.hpp"
#else
#define FOLIO_CUDA cuda
#include "cuda/real/device.hpp"
#endif

#include "cuda/float16.hpp"
#include "cuda/pack.hpp"

namespace folio::FOLIO_CUDA {

/// How many blocks of `threads` cover `n` items: ⌈n / threads⌉.
constexpr std::int64_t blocks_for(std::int64_t n, std::int64_t threads) { return (n + threads - 1) / threads; }

}  // namespace folio::FOLIO_CUDA
