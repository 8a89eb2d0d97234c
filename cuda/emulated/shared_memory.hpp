#pragma once
#include <cstddef>
#include <cstdint>

#include "cuda/emulated/launch.hpp"
#include "cuda/emulated/shared.hpp"

namespace folio::cuda_emulated {

inline constexpr std::size_t shared_limit = 48 * 1024;         ///< of a block, with no opt-in
inline constexpr std::size_t shared_opt_in_limit = 99 * 1024;  ///< the least over sm_80, sm_89, sm_90 and sm_120

/// Places the launch's dynamic shared memory, filled with 0xff; forgets what the last block declared.
void begin_shared_memory(const LaunchRequest& request);
void end_shared_memory();

/// Where an address lies with respect to the block's shared memory.
enum class SharedPlace { elsewhere, inside, outside_every_array };
SharedPlace place_in_shared(const void* address, std::size_t bytes);
std::size_t offset_in_shared(const void* address);

}  // namespace folio::cuda_emulated
