#pragma once
#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include "cuda/emulated/control.hpp"

namespace folio::cuda_emulated {

/// New device memory, 256-byte aligned, filled with 0xff; null where the device has not as much. On both sides lie
/// 256 bytes that nobody may touch; they hold 0xfffe, which is NaN in every float type.
void* allocate_device(std::size_t bytes);
/// False where `address` is not the beginning of an allocation.
bool free_device(void* address);

/// Pinned host memory; kernels may read and write it, and so may the host.
void* allocate_pinned(std::size_t bytes);
bool free_pinned(void* address);

/// Marks a part of an allocation as in use, filled with 0xff, and with the first such mark the rest of it as not: what
/// nobody has claimed is filled as the bytes around an allocation are.
void claim(void* address, std::size_t bytes);
void release(void* address, std::size_t bytes);

enum class Home { host, pinned, device, device_outside };  ///< device_outside: begins in device memory, ends beyond
/// Where a span of memory lies; parts that nobody claimed count as outside.
Home home_of(const void* address, std::size_t bytes);

/// The span of device or pinned memory around an address, where it may be used; empty elsewhere.
std::span<const std::byte> span_at(const void* address);

/// Where a write has gone astray near the allocation that holds `address`: the offset of the first byte changed within
/// 256 bytes beyond its ends, or those of the claimed part that holds `address`. The bytes there are made good.
std::optional<std::ptrdiff_t> take_stray_write(const void* address);

/// "offset 404 of an allocation of 400 bytes", for messages.
std::string describe_address(const void* address);

/// While one lives, device memory may be touched; outside, under AddressSanitizer, a host access is reported.
class DeviceMemoryOpen {
 public:
  DeviceMemoryOpen();
  ~DeviceMemoryOpen();
  DeviceMemoryOpen(const DeviceMemoryOpen&) = delete;
  DeviceMemoryOpen& operator=(const DeviceMemoryOpen&) = delete;
};

}  // namespace folio::cuda_emulated
