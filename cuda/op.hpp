#pragma once
/// What the kernels of the ops share: the contract that they fill, the stream that they run on, the sizes of their
/// launches, and how they report an index that points nowhere without making the host wait.
/// Each kernel's comment says the bytes that it must read from memory and write to it; what the caches give again is
/// left out. Its floor is the time of these bytes at the memory's copy speed, unless the comment names another.
#include <algorithm>

#include "autograd/backend.hpp"
#include "autograd/kernels.hpp"
#include "cuda/kernel.hpp"

namespace folio::FOLIO_CUDA {

/// The kernels of autograd/kernels.def as this backend implements them; one that is missing does not link.
namespace entry {
#define KERNEL(name, layout, halves, parameters) void name parameters;
#include "autograd/kernels.def"
#undef KERNEL
}  // namespace entry

/// The stream on which every op of the process runs, one after another.
cudaStream_t stream();

constexpr int block_threads = 256;
/// For __launch_bounds__: 64 registers to a thread. Left to itself ptxas gives some kernels fewer, and spills the rest.
constexpr int four_resident = 4;
constexpr int warp_threads = 32;
constexpr unsigned all_lanes = 0xffffffffu;

/// One of the kernels, all of which are compiled for the same GPUs: to ask CUDA whether it can run them.
const void* some_kernel();

/// Threads per block for n items: whole warps, few where there are few items.
inline int threads_for(std::int64_t n) {
  return static_cast<int>(std::clamp<std::int64_t>((n + 31) / 32 * 32, warp_threads, block_threads));
}
/// Threads per block where each warp takes one row.
inline int threads_for_rows(std::int64_t rows) { return threads_for(rows * warp_threads); }
/// Blocks of that size that give each row a warp.
inline std::int64_t blocks_for_rows(std::int64_t rows) {
  return blocks_for(rows, threads_for_rows(rows) / warp_threads);
}

__device__ inline std::int64_t thread_index() { return std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; }
/// The row of this thread's warp.
__device__ inline std::int64_t warp_index() { return thread_index() / warp_threads; }
__device__ inline int lane_index() { return static_cast<int>(threadIdx.x % warp_threads); }

/// Calls `f(T{})` with the type in which kernels read and write a float dtype: float, double, or this backend's bfloat16
/// or float16, which they compute with as Accumulator<T>. Statistics have the dtype of the Accumulator.
template <typename F>
void visit_stored(DType dtype, F&& f) {
  switch (dtype) {
    case DType::bfloat16: return f(bfloat16{});
    case DType::float16: return f(float16{});
    default: return visit_float(dtype, f);
  }
}

/// Calls `f(T{}, W{})` with the stored types of rows and of a weight beside them, which holds T or, a master weight, what
/// T is computed in (see require_weight in autograd/ops/op.hpp); for an undefined one W is T.
template <typename F>
void visit_with_weight(DType dtype, const Tensor& weight, F&& f) {
  visit_stored(dtype, [&](auto tag) {
    if constexpr (is_half_type<decltype(tag)>) {
      if (weight.defined() && weight.dtype() == DType::float32) return f(tag, float{});
    }
    f(tag, tag);
  });
}

/// Its first element, as any type of the same size: this backend's 16-bit floats stand for folio's. Null where it is
/// undefined or has none, since a view of nothing may point anywhere.
template <typename T>
T* pointer(const Tensor& x) {
  return x.defined() && x.numel() > 0 ? x.ptr<T>() : nullptr;
}

/// Who found an index outside the tensor that it points into; cast, a value that is no index.
enum class Finder : unsigned char {
  embedding,
  gather,
  index_add,
  cross_entropy,
  route,
  dispatch_rows,
  combine_rows,
  cast
};

/// One word of device memory that kernels lower to the first bad position; read with the next copy to the host.
using Report = unsigned long long*;
Report report();
__device__ inline void complain(Report word, Finder finder, std::int64_t position) {
  atomicMin(word, static_cast<unsigned long long>(position) << 8 | static_cast<unsigned long long>(finder));
}

/// The values of a small packed int32 tensor on the host. A copy that was begun earlier is waited for; otherwise one is
/// made. They hold for as long as the tensor does.
std::span<const std::int32_t> on_host(const Tensor& x);
/// Puts the copy on the stream, so that it is there when the host asks. Whoever asks again while the tensor lives
/// unchanged gets the same copy.
std::shared_ptr<CopyToHost> begin_copy_to_host(const Tensor& x);

/// y[r] = Σ_c x[r, c], in an order that depends on the shape alone, summed in Accumulator<T> and rounded once. Reads x
/// once.
template <typename T, typename Y>
void sum_rows(const T* x, std::int64_t rows, std::int64_t columns, Y* y, Device device);

}  // namespace folio::FOLIO_CUDA
