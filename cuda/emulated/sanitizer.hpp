#pragma once
#include <cstddef>

// AddressSanitizer's calls, or nothing without it.
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace folio::cuda_emulated {

#ifdef __SANITIZE_ADDRESS__
inline constexpr bool address_sanitizer = true;
inline void forbid(const void* address, std::size_t bytes) { __asan_poison_memory_region(address, bytes); }
inline void allow(const void* address, std::size_t bytes) { __asan_unpoison_memory_region(address, bytes); }
inline void leaving_stack(void** save, const void* bottom, std::size_t bytes) {
  __sanitizer_start_switch_fiber(save, bottom, bytes);
}
inline void entered_stack(void* saved, const void** from_bottom, std::size_t* from_bytes) {
  __sanitizer_finish_switch_fiber(saved, from_bottom, from_bytes);
}
#else
inline constexpr bool address_sanitizer = false;
inline void forbid(const void*, std::size_t) {}
inline void allow(const void*, std::size_t) {}
inline void leaving_stack(void**, const void*, std::size_t) {}
inline void entered_stack(void*, const void**, std::size_t*) {}
#endif

}  // namespace folio::cuda_emulated
