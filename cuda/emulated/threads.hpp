#pragma once
#include <bit>
#include <cstdint>
#include <source_location>
#include <type_traits>

#include "cuda/emulated/vectors.hpp"

namespace folio::cuda_emulated {

// Set by the scheduler each time it hands the processor to another thread of the block.
extern uint3 threadIdx;
extern uint3 blockIdx;
extern dim3 blockDim;
extern dim3 gridDim;
inline constexpr int warpSize = 32;

enum class Vote { none, any, all, count };
enum class WarpCall : std::uint8_t { shuffle, shuffle_up, shuffle_down, shuffle_xor, ballot, any, all, sync };

/// Where the running thread waits for every other thread of its block; the votes of all are combined. Threads that come to
/// barriers on different lines are a fault; one line reached by two ways, as from both branches through one function, is
/// taken for one barrier: a compiler may copy a call, so that its address would tell apart what is one in the source.
int wait_for_block(Vote vote, bool predicate, std::source_location where);

/// Where the running lane waits for the lanes of `mask`. A lane's 4 or 8 bytes travel as `value`; `argument` is the
/// source lane, the distance or the xor mask. Faults: the caller is not in the mask; lanes of one mask that came with
/// other calls, masks or lines; lanes that have returned or wait elsewhere; a source lane that takes no part.
std::uint64_t wait_for_warp(WarpCall call, unsigned mask, std::uint64_t value, unsigned argument, int width,
                            std::source_location where);

inline void __syncthreads(std::source_location where = std::source_location::current()) {
  wait_for_block(Vote::none, false, where);
}
inline int __syncthreads_count(int predicate, std::source_location where = std::source_location::current()) {
  return wait_for_block(Vote::count, predicate != 0, where);
}
inline int __syncthreads_and(int predicate, std::source_location where = std::source_location::current()) {
  return wait_for_block(Vote::all, predicate != 0, where);
}
inline int __syncthreads_or(int predicate, std::source_location where = std::source_location::current()) {
  return wait_for_block(Vote::any, predicate != 0, where);
}

inline void __syncwarp(unsigned mask = 0xffffffffu, std::source_location where = std::source_location::current()) {
  wait_for_warp(WarpCall::sync, mask, 0, 0, warpSize, where);
}
inline unsigned __ballot_sync(unsigned mask, int predicate,
                              std::source_location where = std::source_location::current()) {
  return static_cast<unsigned>(wait_for_warp(WarpCall::ballot, mask, predicate != 0, 0, warpSize, where));
}
inline int __any_sync(unsigned mask, int predicate, std::source_location where = std::source_location::current()) {
  return static_cast<int>(wait_for_warp(WarpCall::any, mask, predicate != 0, 0, warpSize, where));
}
inline int __all_sync(unsigned mask, int predicate, std::source_location where = std::source_location::current()) {
  return static_cast<int>(wait_for_warp(WarpCall::all, mask, predicate != 0, 0, warpSize, where));
}

/// What the hardware shuffles: four or eight bytes of a number.
template <typename T>
T exchange(WarpCall call, unsigned mask, T value, unsigned argument, int width, std::source_location where) {
  static_assert(std::is_arithmetic_v<T> && (sizeof(T) == 4 || sizeof(T) == 8), "shuffles move 4- or 8-byte numbers");
  using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
  const std::uint64_t got = wait_for_warp(call, mask, std::bit_cast<Bits>(value), argument, width, where);
  return std::bit_cast<T>(static_cast<Bits>(got));
}
template <typename T>
T __shfl_sync(unsigned mask, T value, int source, int width = warpSize,
              std::source_location where = std::source_location::current()) {
  return exchange(WarpCall::shuffle, mask, value, static_cast<unsigned>(source), width, where);
}
template <typename T>
T __shfl_up_sync(unsigned mask, T value, unsigned distance, int width = warpSize,
                 std::source_location where = std::source_location::current()) {
  return exchange(WarpCall::shuffle_up, mask, value, distance, width, where);
}
template <typename T>
T __shfl_down_sync(unsigned mask, T value, unsigned distance, int width = warpSize,
                   std::source_location where = std::source_location::current()) {
  return exchange(WarpCall::shuffle_down, mask, value, distance, width, where);
}
template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = warpSize,
                  std::source_location where = std::source_location::current()) {
  return exchange(WarpCall::shuffle_xor, mask, value, static_cast<unsigned>(lane_mask), width, where);
}

// Threads of one block share one memory here, and blocks of one launch are never ordered: fences have nothing to do.
inline void __threadfence() {}
inline void __threadfence_block() {}

}  // namespace folio::cuda_emulated
