#pragma once
#include <cstddef>
#include <string>

#include "autograd/error.hpp"
#include "autograd/storage.hpp"

namespace folio {

/// Bytes that the allocator of a device has from it: those of tensors (memory_statistics), its rounding, and freed blocks
/// that it keeps for others.
std::size_t held_memory(Device device);
/// Hands the freed blocks back, on the CPU those below 2 MiB once all that were cut from the same 8 MiB are free.
void release_cached_memory(Device device);

/// "12.5 MiB": for messages.
std::string in_mebibytes(std::size_t bytes);

/// A device has no memory left for a tensor.
struct OutOfMemory : Error {
  OutOfMemory(const std::string& account, std::size_t reach)
      : Error(account + ": a smaller batch or model needs less"), account(account), reach(reach) {}
  std::string account;  ///< how much was asked for, is held and is free
  std::size_t reach;    ///< bytes that this process could hold: what its tensors did, and what was free
};

}  // namespace folio
