#pragma once
#include "cuda/kernel.hpp"

// Kernels that show what the emulator does.
namespace folio::FOLIO_CUDA::probes {

void nothing(dim3 grid, dim3 block);
void nothing_wide(std::int64_t blocks);

/// Declares 16 KiB of shared memory beside the dynamic part.
void static_and_dynamic(int dynamic_bytes);
cudaError_t opt_in(int bytes);
void uses_dynamic(float* y, int bytes);

/// Launches with parameters of 32764 bytes, all there may be, and of 32768; y[0] = the last of them.
void most_parameters(float* y);
void too_many_parameters(float* y);

/// out[thread of the grid] = {threadIdx, blockIdx, blockDim, gridDim}: 12 numbers.
void coordinates(unsigned* out, dim3 grid, dim3 block);

/// Every call of a warp on its lanes' numbers; out holds 16 results per thread, in the order of the kernel's lines.
constexpr int warp_results = 16;
void warp_calls(const int* x, int* out, int threads, int distance, int width);

/// 64-bit shuffles: out[t] = x[t ^ 1] for t < threads.
void shuffle_doubles(const double* x, double* out, int threads);
void shuffle_longs(const long long* x, long long* out, int threads);

/// Halves of warps meet separately, each with its own mask; out[t] = the sum over its half.
void half_warps(const int* x, int* out, int threads);

/// out[t] = {count, and, or} of predicate[t] over the block, by __syncthreads_…
void block_votes(const int* predicate, int* out, int threads);

/// All atomics on cells of ints, unsigneds, long longs, floats and doubles; see the kernel.
void atomics(int* i, unsigned* u, unsigned long long* l, float* f, double* d, int blocks, int threads);

/// *y += x[t] over all threads by compare-and-swap; returns in retries[0] how often one was lost.
void swap_sum(const float* x, unsigned* y, unsigned* retries, int threads);

/// trace[atomicAdd(counter)] = number of the thread in the grid: the order in which threads run.
void trace(unsigned* counter, int* order, int blocks, int threads, bool with_barrier);

/// y[t] = value, slowly enough for nothing; for tests of streams.
void fill(float* y, float value, int n, cudaStream_t stream);
void copy(const float* x, float* y, int n, cudaStream_t stream);
void add_one(float* y, int n, cudaStream_t stream);

/// Each thread passes `rounds` barriers.
void barriers(float* y, int blocks, int threads, int rounds);

}  // namespace folio::FOLIO_CUDA::probes
