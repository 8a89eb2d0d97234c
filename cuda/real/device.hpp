#pragma once
#ifndef __CUDACC__
#error "cuda/kernel.hpp: compile with nvcc, or with -DFOLIO_CUDA_EMULATED for the emulator"
#endif
#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <source_location>
#include <type_traits>
#include <utility>

#include "cuda/launches.hpp"

namespace folio::cuda {

/// Throws folio::Error with CUDA's reason and this line unless `error` is cudaSuccess.
void check(cudaError_t error, std::source_location where = std::source_location::current());

/// Takes note for launch_counts(): of a kernel, or of what cuBLAS launches by the name of its function.
void count_launch(const void* kernel);
void count_launch(const char* name);

/// Throws folio::Error where the grid, one number before it was narrowed, does not fit CUDA's x.
struct LaunchGrid {
  dim3 blocks;
  std::source_location where;
  LaunchGrid(dim3 b, std::source_location w = std::source_location::current()) : blocks(b), where(w) {}
  template <typename Count, typename = std::enable_if_t<std::is_integral_v<Count>>>
  LaunchGrid(Count count, std::source_location w = std::source_location::current())
      : blocks(narrowed(static_cast<std::int64_t>(count), w)), where(w) {}
  static unsigned narrowed(std::int64_t count, std::source_location where);
};

/// launch(kernel<T>, grid, block, shared_bytes, stream, arguments...): puts the kernel on the stream and checks that
/// it was accepted. The arguments are converted to the kernel's parameters. An empty grid does nothing.
template <typename... P, typename... A>
void launch(void (*kernel)(P...), LaunchGrid grid, dim3 block, std::size_t shared_bytes, cudaStream_t stream,
            A&&... arguments) {
  static_assert(sizeof...(P) == sizeof...(A), "launch: as many arguments as the kernel has parameters");
  if (grid.blocks.x == 0 || grid.blocks.y == 0 || grid.blocks.z == 0) return;
  kernel<<<grid.blocks, block, shared_bytes, stream>>>(static_cast<P>(std::forward<A>(arguments))...);
  check(cudaGetLastError(), grid.where);
  count_launch(reinterpret_cast<const void*>(kernel));
}

/// Marks for the emulator (its device.hpp says more); a GPU has no use for them.
inline void memory_claimed(void*, std::size_t, cudaStream_t) {}
inline void memory_released(void*, std::size_t, cudaStream_t) {}

}  // namespace folio::cuda

/// SHARED(float, tile, [32][33]); SHARED(int, count); an array or value in shared memory, 16-byte aligned.
#define SHARED(T, name, ...) __shared__ __align__(16) T name __VA_ARGS__

/// DYN_SHARED(float, scratch); a pointer to the shared memory that the launch asked for, 16-byte aligned.
#define DYN_SHARED(T, name)                                             \
  extern __shared__ __align__(16) unsigned char folio_dynamic_shared[]; \
  T* const name = reinterpret_cast<T*>(folio_dynamic_shared)
