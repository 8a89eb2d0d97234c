#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "cuda/emulated/fault.hpp"
#include "cuda/launches.hpp"

// What programs and tests ask of the emulator itself; kernels never include this.
namespace folio::cuda_emulated {

/// Which thread of a block runs next wherever one has to wait; likewise which block, and which stream's work.
enum class Order {
  in_order,       ///< the lowest number; streams: nothing runs before it is needed
  reverse,        ///< the highest number; streams: what came last runs first
  uniform,        ///< any, with equal chance
  warp_priority,  ///< the warp with the highest of random priorities, which change now and then; any of its lanes
};
inline constexpr Order all_orders[] = {Order::in_order, Order::reverse, Order::uniform, Order::warp_priority};

/// Sets the order and starts its random numbers anew. The same seed and the same calls give the same run.
void set_order(Order order, std::uint64_t seed = 0);
Order current_order();
const char* name_of(Order order);

/// A barrier of a kernel, by the place of its __syncthreads or __syncwarp.
struct BarrierSite {
  std::string file;
  unsigned line = 0;
  auto operator<=>(const BarrierSite&) const = default;
};
/// The barriers met since reset_barrier_sites(), deleted ones included.
std::vector<BarrierSite> barrier_sites();
void reset_barrier_sites();

/// While it lives, the barrier at this place does nothing.
class DeletedBarrier {
 public:
  explicit DeletedBarrier(BarrierSite site);
  ~DeletedBarrier();
  DeletedBarrier(const DeletedBarrier&) = delete;
  DeletedBarrier& operator=(const DeletedBarrier&) = delete;

 private:
  BarrierSite site_;
};

/// Device memory in bytes: allocated now, the most at once since reset_peak(), and how many blocks.
struct MemoryStatistics {
  std::size_t bytes = 0, peak_bytes = 0, capacity_bytes = 0;
  std::int64_t live = 0, allocations = 0, frees = 0;
  std::int64_t pinned_live = 0;
  std::size_t pinned_bytes = 0;
};
MemoryStatistics memory_statistics();
void reset_peak();
/// How much memory the device has; cudaMalloc past it returns cudaErrorMemoryAllocation. Default 16 GiB.
void set_memory_capacity(std::size_t bytes);

/// How often the program waited for the device since reset_host_waits(), by the call in which it did: a call whose work was
/// done already counts for nothing, a copy from or to memory that is not pinned always.
std::map<std::string, std::int64_t> host_waits();
void reset_host_waits();
/// What was put on the streams and has not run yet.
std::size_t pending_operations();

/// Whether this build watches for races (kernels compiled with -fsanitize=thread).
bool race_build();

}  // namespace folio::cuda_emulated
