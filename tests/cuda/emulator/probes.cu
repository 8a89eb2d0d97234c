#include "tests/cuda/emulator/probes.hpp"

namespace folio::FOLIO_CUDA::probes {
namespace {

constexpr unsigned kAll = 0xffffffffu;

__global__ void nothing_kernel() {}

__global__ void static_and_dynamic_kernel() {
  SHARED(float, fixed, [4096]);
  DYN_SHARED(float, dynamic);
  fixed[threadIdx.x] = dynamic[threadIdx.x] = 0;
}

__global__ void uses_dynamic_kernel(float* y, int count) {
  DYN_SHARED(float, s);
  s[count - 1] = 1;
  y[0] = s[count - 1];
}

template <int count>
struct Floats {
  float value[count];
};

template <int count>
__global__ void parameters_kernel(float* y, Floats<count> x) {
  y[0] = x.value[count - 1];
}

__device__ unsigned thread_in_grid() {
  const unsigned threads = blockDim.x * blockDim.y * blockDim.z;
  const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  return block * threads + threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
}

__global__ void coordinates_kernel(unsigned* out) {
  out += 12 * thread_in_grid();
  out[0] = threadIdx.x, out[1] = threadIdx.y, out[2] = threadIdx.z;
  out[3] = blockIdx.x, out[4] = blockIdx.y, out[5] = blockIdx.z;
  out[6] = blockDim.x, out[7] = blockDim.y, out[8] = blockDim.z;
  out[9] = gridDim.x, out[10] = gridDim.y, out[11] = gridDim.z;
}

__global__ void warp_calls_kernel(const int* x, int* out, int distance, int width) {
  const int value = x[threadIdx.x];
  out += warp_results * threadIdx.x;
  out[0] = __shfl_sync(kAll, value, distance);
  out[1] = __shfl_up_sync(kAll, value, distance);
  out[2] = __shfl_down_sync(kAll, value, distance);
  out[3] = __shfl_xor_sync(kAll, value, distance);
  out[4] = __shfl_sync(kAll, value, distance, width);
  out[5] = __shfl_up_sync(kAll, value, distance, width);
  out[6] = __shfl_down_sync(kAll, value, distance, width);
  out[7] = __shfl_xor_sync(kAll, value, distance, width);
  out[8] = static_cast<int>(__ballot_sync(kAll, value % 2));
  out[9] = __any_sync(kAll, value > 5);
  out[10] = __all_sync(kAll, value > 5);
  __syncwarp();
  const float f = __shfl_xor_sync(kAll, static_cast<float>(value), 1);
  out[11] = static_cast<int>(f);
  const unsigned u = __shfl_sync(kAll, static_cast<unsigned>(value), 3);
  out[12] = static_cast<int>(u);
  out[13] = __popc(__ballot_sync(kAll, value > 0));
  out[14] = static_cast<int>(threadIdx.x % warpSize);
  out[15] = __ffs(static_cast<int>(__ballot_sync(kAll, value > 5)));
}

template <typename T>
__global__ void shuffle_wide_kernel(const T* x, T* out) {
  out[threadIdx.x] = __shfl_xor_sync(kAll, x[threadIdx.x], 1);
}

__global__ void half_warps_kernel(const int* x, int* out) {
  int value = x[threadIdx.x];
  if (threadIdx.x % 32 < 16) {
    for (int d = 8; d > 0; d /= 2) value += __shfl_xor_sync(0x0000ffffu, value, d, 16);
  } else {
    for (int d = 8; d > 0; d /= 2) value += __shfl_xor_sync(0xffff0000u, value, d, 16);
  }
  out[threadIdx.x] = value;
}

__global__ void block_votes_kernel(const int* predicate, int* out) {
  const int mine = predicate[threadIdx.x];
  out += 3 * threadIdx.x;
  out[0] = __syncthreads_count(mine);
  out[1] = __syncthreads_and(mine);
  out[2] = __syncthreads_or(mine);
}

__global__ void atomics_kernel(int* i, unsigned* u, unsigned long long* l, float* f, double* d) {
  const unsigned t = thread_in_grid();
  const int n = static_cast<int>(t);
  atomicAdd(&i[0], n);
  atomicSub(&i[1], n);
  atomicMax(&i[2], n);
  atomicMin(&i[3], -n);
  atomicOr(&i[4], 1 << t % 31);
  atomicAnd(&i[5], ~(1 << t % 31));
  atomicXor(&i[6], n);
  i[7 + n] = atomicExch(&i[6 + 1 + static_cast<int>(gridDim.x * blockDim.x)], n);
  atomicAdd(&u[0], t);
  atomicInc(&u[1], 9);
  atomicDec(&u[2], 9);
  atomicMax(&u[3], t);
  atomicAdd(&l[0], 1ull << 33);
  atomicMax(&l[1], 1ull << t % 40);
  atomicAdd(&f[0], 0.5f);
  atomicAdd(&d[0], 0.25);
}

__global__ void swap_sum_kernel(const float* x, unsigned* y, unsigned* retries) {
  unsigned old = *y, assumed;
  do {
    assumed = old;
    old = atomicCAS(y, assumed, __float_as_uint(__uint_as_float(assumed) + x[threadIdx.x]));
    if (old != assumed) atomicAdd(retries, 1u);
  } while (old != assumed);
}

__global__ void trace_kernel(unsigned* counter, int* order, bool with_barrier) {
  if (with_barrier) __syncthreads();
  const unsigned place = counter[0]++;  // not atomic on purpose: an atomic might be interrupted just before
  order[place] = static_cast<int>(thread_in_grid());
}

__global__ void fill_kernel(float* y, float value) { y[threadIdx.x] = value; }
__global__ void copy_kernel(const float* x, float* y) { y[threadIdx.x] = x[threadIdx.x]; }
__global__ void add_one_kernel(float* y) { y[threadIdx.x] += 1; }

__global__ void barriers_kernel(float* y, int rounds) {
  float value = 0;
  for (int i = 0; i < rounds; ++i) {
    __syncthreads();
    value += 1;
  }
  y[blockIdx.x * blockDim.x + threadIdx.x] = value;
}

}  // namespace

void nothing(dim3 grid, dim3 block) { launch(nothing_kernel, grid, block, 0, nullptr); }
void nothing_wide(std::int64_t blocks) { launch(nothing_kernel, blocks, 1, 0, nullptr); }
void static_and_dynamic(int dynamic_bytes) { launch(static_and_dynamic_kernel, 1, 1, dynamic_bytes, nullptr); }
cudaError_t opt_in(int bytes) {
  return cudaFuncSetAttribute(uses_dynamic_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
}
void uses_dynamic(float* y, int bytes) {
  launch(uses_dynamic_kernel, 1, 1, bytes, nullptr, y, bytes / static_cast<int>(sizeof(float)));
}
template <int count>
void pass_parameters(float* y) {
  Floats<count> x{};
  x.value[count - 1] = 7;
  launch(parameters_kernel<count>, 1, 1, 0, nullptr, y, x);
}
void most_parameters(float* y) { pass_parameters<(32764 - 8) / 4>(y); }
void too_many_parameters(float* y) { pass_parameters<(32768 - 8) / 4>(y); }
void coordinates(unsigned* out, dim3 grid, dim3 block) { launch(coordinates_kernel, grid, block, 0, nullptr, out); }
void warp_calls(const int* x, int* out, int threads, int distance, int width) {
  launch(warp_calls_kernel, 1, threads, 0, nullptr, x, out, distance, width);
}
void shuffle_doubles(const double* x, double* out, int threads) {
  launch(shuffle_wide_kernel<double>, 1, threads, 0, nullptr, x, out);
}
void shuffle_longs(const long long* x, long long* out, int threads) {
  launch(shuffle_wide_kernel<long long>, 1, threads, 0, nullptr, x, out);
}
void half_warps(const int* x, int* out, int threads) { launch(half_warps_kernel, 1, threads, 0, nullptr, x, out); }
void block_votes(const int* predicate, int* out, int threads) {
  launch(block_votes_kernel, 1, threads, 0, nullptr, predicate, out);
}
void atomics(int* i, unsigned* u, unsigned long long* l, float* f, double* d, int blocks, int threads) {
  launch(atomics_kernel, blocks, threads, 0, nullptr, i, u, l, f, d);
}
void swap_sum(const float* x, unsigned* y, unsigned* retries, int threads) {
  launch(swap_sum_kernel, 1, threads, 0, nullptr, x, y, retries);
}
void trace(unsigned* counter, int* order, int blocks, int threads, bool with_barrier) {
  launch(trace_kernel, blocks, threads, 0, nullptr, counter, order, with_barrier);
}
void fill(float* y, float value, int n, cudaStream_t stream) { launch(fill_kernel, 1, n, 0, stream, y, value); }
void copy(const float* x, float* y, int n, cudaStream_t stream) { launch(copy_kernel, 1, n, 0, stream, x, y); }
void add_one(float* y, int n, cudaStream_t stream) { launch(add_one_kernel, 1, n, 0, stream, y); }
void barriers(float* y, int blocks, int threads, int rounds) {
  launch(barriers_kernel, blocks, threads, 0, nullptr, y, rounds);
}

}  // namespace folio::FOLIO_CUDA::probes
