#pragma once
#include "cuda/kernel.hpp"

// Kernels with one planted fault each. Unless said otherwise: one block of `threads`, on the default stream.
namespace folio::FOLIO_CUDA::faults {

/// y[t] = x[t − 1] through shared memory, with no barrier between the write and the read.
void missing_barrier(const float* x, float* y, int threads);

/// y[t] = {Σ x, Σ x²} by two calls of a reduction that lacks the barrier before its memory is used again.
void missing_reuse_barrier(const float* x, float* y, int threads);

/// y[0] += 1 by every thread, with no atomic.
void plain_increment(float* y, int blocks, int threads);

/// Σ of 32 numbers in shared memory, each step trusting that all lanes have done the one before.
void lockstep(const float* x, float* y);

/// The threads of each half wait at a barrier of their own.
void divergent_barrier(int threads);

/// Every thread past `count` returns before the barrier.
void early_return(int count, int threads);

/// The upper half of a warp waits for the block, the lower half shuffles with all lanes.
void shuffle_against_barrier();

/// Lanes above 15 call a shuffle whose mask names lanes 0 to 15 only.
void caller_outside_mask();

/// Lanes 0 to 15 shuffle down by 8 among themselves: lanes 8 to 15 read lanes that take no part.
void source_outside_mask(float* y);

/// Half of the lanes vote, the other half shuffle, all with the full mask.
void mismatched_calls();

/// Lanes of one mask pass other masks to one __syncwarp.
void mismatched_masks();

/// A shuffle with the full mask after lane 5 has returned.
void shuffle_after_exit();

/// y[t + offset] = 1.
void write_at(float* y, int offset, int threads);

/// y[t] = x[t + offset].
template <typename T>
void read_at(const T* x, T* y, int offset, int threads);

/// y[i] = 1 through a pointer that the emulator does not see among the arguments.
struct Hidden {
  float* y;
};
void write_hidden(float* y, int i);

/// Writes element `index` of an array of 32 in shared memory, next to another.
void shared_write_at(int index, float* y);

/// Loads 16 bytes at x + offset by a float4, by a pack, by an assignment.
void vector_load(const float* x, float* y, int offset);
void pack_load(const float* x, float* y, int offset);
void vector_assignment(const float* x, float* y, int offset);

/// y[t] = what a shared array holds that nobody wrote.
void uninitialised_shared(float* y, int threads);
void uninitialised_dynamic_shared(float* y, int threads);

/// atomicAdd on a double at an address that is a multiple of 4 only.
void misaligned_atomic(double* y);

/// Block 1 reads what block 0 wrote in the same launch.
void reads_other_block(float* y);

/// Every thread adds atomically, one reads without a barrier.
void atomic_then_plain_read(float* y, int threads);

/// Neighbouring bytes written by different threads: no fault at all.
void neighbouring_bytes(unsigned char* y, int threads);

/// An exchange through shared memory inside a warp, ordered by __syncwarp: no fault at all.
void ordered_by_syncwarp(const float* x, float* y, int threads);

/// Throws a C++ exception.
void throws();

/// Declares more shared memory than there is; more threads than __launch_bounds__(64) allows.
void too_much_static_shared();
void bounded_by_64(float* y, int threads);
void needs_dynamic_shared(float* y, int bytes);

}  // namespace folio::FOLIO_CUDA::faults
