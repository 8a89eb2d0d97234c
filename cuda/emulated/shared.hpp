#pragma once
#include <cstddef>
#include <cstdint>
#include <source_location>

namespace folio::cuda_emulated {

/// One SHARED declaration of one instantiation: where it lies in the block that runs now.
struct SharedSlot {
  std::uint64_t block = 0;
  void* storage = nullptr;
};
extern std::uint64_t running_block;  ///< counts blocks, so that a slot knows whether its place is this block's

/// Places the declaration in this block's shared memory, filled with 0xff (NaN in every float type). Throws Fault
/// past the hardware's limit.
void* place_shared(SharedSlot& slot, std::size_t bytes, std::size_t alignment, std::source_location where);

/// The block's dynamic shared memory, as many bytes as the launch asked for; 16-byte aligned.
void* dynamic_shared();

inline void* shared_storage(SharedSlot& slot, std::size_t bytes, std::size_t alignment,
                            std::source_location where = std::source_location::current()) {
  return slot.block == running_block ? slot.storage : place_shared(slot, bytes, alignment, where);
}

}  // namespace folio::cuda_emulated

/// SHARED(float, tile, [32][33]); SHARED(int, count); an array or value in shared memory, 16-byte aligned.
#define SHARED(T, name, ...)                             \
  static ::folio::cuda_emulated::SharedSlot name##_slot; \
  T(&name)                                               \
  __VA_ARGS__ = *static_cast<T(*) __VA_ARGS__>(          \
      ::folio::cuda_emulated::shared_storage(name##_slot, sizeof(T __VA_ARGS__), alignof(T)))

/// DYN_SHARED(float, scratch); a pointer to the shared memory that the launch asked for, 16-byte aligned.
#define DYN_SHARED(T, name) T* const name = static_cast<T*>(::folio::cuda_emulated::dynamic_shared())
