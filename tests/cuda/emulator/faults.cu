#include <stdexcept>

#include "tests/cuda/emulator/faults.hpp"

namespace folio::FOLIO_CUDA::faults {
namespace {

__global__ void missing_barrier_kernel(const float* x, float* y) {
  SHARED(float, s, [1024]);
  s[threadIdx.x] = x[threadIdx.x];
  y[threadIdx.x] = s[threadIdx.x == 0 ? 0 : threadIdx.x - 1];
}

__device__ float careless_sum(float value) {
  SHARED(float, partial, [32]);
  for (int distance = 16; distance > 0; distance /= 2) value += __shfl_xor_sync(0xffffffffu, value, distance);
  if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = value;
  __syncthreads();
  float all = 0;
  for (unsigned w = 0; w < blockDim.x / 32; ++w) all += partial[w];
  return all;
}

__global__ void missing_reuse_barrier_kernel(const float* x, float* y) {
  const float value = x[threadIdx.x];
  const float sum = careless_sum(value);
  const float squares = careless_sum(value * value);
  y[2 * threadIdx.x] = sum;
  y[2 * threadIdx.x + 1] = squares;
}

__global__ void plain_increment_kernel(float* y) { y[0] += 1; }

__global__ void lockstep_kernel(const float* x, float* y) {
  SHARED(float, s, [64]);
  volatile float* v = s;
  const unsigned t = threadIdx.x;
  v[t] = x[t];
  v[t + 32] = 0;
  for (unsigned distance = 16; distance > 0; distance /= 2) v[t] = v[t] + v[t + distance];
  if (t == 0) y[0] = v[0];
}

__global__ void divergent_barrier_kernel() {
  if (threadIdx.x < blockDim.x / 2) {
    __syncthreads();
  } else {
    __syncthreads();
  }
}

__global__ void early_return_kernel(int count) {
  if (static_cast<int>(threadIdx.x) >= count) return;
  __syncthreads();
}

__global__ void shuffle_against_barrier_kernel() {
  if (threadIdx.x < 16) {
    __shfl_xor_sync(0xffffffffu, 1.0f, 1);
  } else {
    __syncthreads();
  }
}

__global__ void caller_outside_mask_kernel() { __shfl_sync(0x0000ffffu, 1.0f, 0); }

__global__ void source_outside_mask_kernel(float* y) {
  if (threadIdx.x < 16) y[threadIdx.x] = __shfl_down_sync(0x0000ffffu, 1.0f, 8);
}

__global__ void mismatched_calls_kernel() {
  if (threadIdx.x % 2 == 0) {
    __ballot_sync(0xffffffffu, 1);
  } else {
    __shfl_sync(0xffffffffu, 1, 0);
  }
}

__global__ void mismatched_masks_kernel() { __syncwarp(threadIdx.x < 16 ? 0xffffffffu : 0xffff0000u); }

__global__ void shuffle_after_exit_kernel() {
  if (threadIdx.x == 5) return;
  __shfl_xor_sync(0xffffffffu, 1, 1);
}

__global__ void write_at_kernel(float* y, int offset) { y[static_cast<int>(threadIdx.x) + offset] = 1; }

template <typename T>
__global__ void read_at_kernel(const T* x, T* y, int offset) {
  y[threadIdx.x] = x[static_cast<int>(threadIdx.x) + offset];
}

__global__ void write_hidden_kernel(Hidden hidden, int i) { hidden.y[i] = 1; }

__global__ void shared_write_at_kernel(int index, float* y) {
  SHARED(float, first, [32]);
  SHARED(float, second, [32]);
  float* const past_the_type = first;
  second[0] = 2;
  past_the_type[index] = 1;
  y[0] = first[0] + second[0];
}

__global__ void vector_load_kernel(const float* x, float* y, int offset) {
  const float4 v = *reinterpret_cast<const float4*>(x + offset);
  y[0] = v.x + v.w;
}

__global__ void pack_load_kernel(const float* x, float* y, int offset) {
  const Pack<float> v = load_pack(x + offset);
  y[0] = v[0] + v[3];
}

__global__ void vector_assignment_kernel(const float* x, float* y, int offset) {
  float4 v = make_float4(0, 0, 0, 0);
  if (y != nullptr) v = *reinterpret_cast<const float4*>(x + offset);
  y[0] = v.x + v.w;
}

__global__ void uninitialised_shared_kernel(float* y) {
  SHARED(float, s, [32]);
  if (threadIdx.x < 7) s[threadIdx.x] = 1;
  __syncthreads();
  y[threadIdx.x] = s[threadIdx.x];
}

__global__ void uninitialised_dynamic_shared_kernel(float* y) {
  DYN_SHARED(float, s);
  if (threadIdx.x < 7) s[threadIdx.x] = 1;
  __syncthreads();
  y[threadIdx.x] = s[threadIdx.x];
}

__global__ void misaligned_atomic_kernel(double* y) {
  atomicAdd(reinterpret_cast<double*>(reinterpret_cast<char*>(y) + 4), 1.0);
}

__global__ void reads_other_block_kernel(float* y) {
  if (blockIdx.x == 0) y[0] = 1;
  if (blockIdx.x == 1) y[1] = y[0];
}

__global__ void atomic_then_plain_read_kernel(float* y) {
  atomicAdd(y, 1.0f);
  if (threadIdx.x == 0) y[1] = y[0];
}

__global__ void neighbouring_bytes_kernel(unsigned char* y) {
  y[threadIdx.x] = static_cast<unsigned char>(threadIdx.x);
}

__global__ void ordered_by_syncwarp_kernel(const float* x, float* y) {
  SHARED(float, s, [1024]);
  s[threadIdx.x] = x[threadIdx.x];
  __syncwarp();
  const float neighbour = s[threadIdx.x ^ 1];
  __syncwarp();
  s[threadIdx.x] = neighbour;
  y[threadIdx.x] = s[threadIdx.x];
}

__global__ void throws_kernel() {
#ifdef FOLIO_CUDA_EMULATED
  if (threadIdx.x == 3) throw std::runtime_error("no luck today");
#endif
  __syncthreads();
}

__global__ void too_much_static_shared_kernel() {
  SHARED(float, a, [8192]);
  SHARED(double, b, [4096]);
  a[threadIdx.x] = 0;
  b[threadIdx.x] = 0;
}

__global__ void __launch_bounds__(64) bounded_by_64_kernel(float* y) { y[threadIdx.x] = 1; }

__global__ void needs_dynamic_shared_kernel(float* y, int count) {
  DYN_SHARED(float, s);
  for (int i = 0; i < count; ++i) s[i] = 1;
  y[0] = s[count - 1];
}

}  // namespace

void missing_barrier(const float* x, float* y, int threads) {
  launch(missing_barrier_kernel, 1, threads, 0, nullptr, x, y);
}
void missing_reuse_barrier(const float* x, float* y, int threads) {
  launch(missing_reuse_barrier_kernel, 1, threads, 0, nullptr, x, y);
}
void plain_increment(float* y, int blocks, int threads) {
  launch(plain_increment_kernel, blocks, threads, 0, nullptr, y);
}
void lockstep(const float* x, float* y) { launch(lockstep_kernel, 1, 32, 0, nullptr, x, y); }
void divergent_barrier(int threads) { launch(divergent_barrier_kernel, 1, threads, 0, nullptr); }
void early_return(int count, int threads) { launch(early_return_kernel, 1, threads, 0, nullptr, count); }
void shuffle_against_barrier() { launch(shuffle_against_barrier_kernel, 1, 32, 0, nullptr); }
void caller_outside_mask() { launch(caller_outside_mask_kernel, 1, 32, 0, nullptr); }
void source_outside_mask(float* y) { launch(source_outside_mask_kernel, 1, 32, 0, nullptr, y); }
void mismatched_calls() { launch(mismatched_calls_kernel, 1, 32, 0, nullptr); }
void mismatched_masks() { launch(mismatched_masks_kernel, 1, 32, 0, nullptr); }
void shuffle_after_exit() { launch(shuffle_after_exit_kernel, 1, 32, 0, nullptr); }
void write_at(float* y, int offset, int threads) { launch(write_at_kernel, 1, threads, 0, nullptr, y, offset); }
template <typename T>
void read_at(const T* x, T* y, int offset, int threads) {
  launch(read_at_kernel<T>, 1, threads, 0, nullptr, x, y, offset);
}
template void read_at(const float*, float*, int, int);
template void read_at(const double*, double*, int, int);
template void read_at(const bfloat16*, bfloat16*, int, int);
template void read_at(const float16*, float16*, int, int);
template void read_at(const std::int32_t*, std::int32_t*, int, int);
template void read_at(const std::int64_t*, std::int64_t*, int, int);
void write_hidden(float* y, int i) { launch(write_hidden_kernel, 1, 1, 0, nullptr, Hidden{y}, i); }
void shared_write_at(int index, float* y) { launch(shared_write_at_kernel, 1, 1, 0, nullptr, index, y); }
void vector_load(const float* x, float* y, int offset) { launch(vector_load_kernel, 1, 1, 0, nullptr, x, y, offset); }
void pack_load(const float* x, float* y, int offset) { launch(pack_load_kernel, 1, 1, 0, nullptr, x, y, offset); }
void vector_assignment(const float* x, float* y, int offset) {
  launch(vector_assignment_kernel, 1, 1, 0, nullptr, x, y, offset);
}
void uninitialised_shared(float* y, int threads) { launch(uninitialised_shared_kernel, 1, threads, 0, nullptr, y); }
void uninitialised_dynamic_shared(float* y, int threads) {
  launch(uninitialised_dynamic_shared_kernel, 1, threads, threads * sizeof(float), nullptr, y);
}
void misaligned_atomic(double* y) { launch(misaligned_atomic_kernel, 1, 1, 0, nullptr, y); }
void reads_other_block(float* y) { launch(reads_other_block_kernel, 2, 1, 0, nullptr, y); }
void atomic_then_plain_read(float* y, int threads) { launch(atomic_then_plain_read_kernel, 1, threads, 0, nullptr, y); }
void neighbouring_bytes(unsigned char* y, int threads) { launch(neighbouring_bytes_kernel, 1, threads, 0, nullptr, y); }
void ordered_by_syncwarp(const float* x, float* y, int threads) {
  launch(ordered_by_syncwarp_kernel, 1, threads, 0, nullptr, x, y);
}
void throws() { launch(throws_kernel, 1, 64, 0, nullptr); }
void too_much_static_shared() { launch(too_much_static_shared_kernel, 1, 32, 0, nullptr); }
void bounded_by_64(float* y, int threads) { launch(bounded_by_64_kernel, 1, threads, 0, nullptr, y); }
void needs_dynamic_shared(float* y, int bytes) {
  launch(needs_dynamic_shared_kernel, 1, 1, bytes, nullptr, y, bytes / static_cast<int>(sizeof(float)));
}

}  // namespace folio::FOLIO_CUDA::faults
