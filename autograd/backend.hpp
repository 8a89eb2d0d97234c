#pragma once
#include <cstddef>
#include <memory>

#include "autograd/kernels.hpp"
#include "autograd/storage.hpp"

namespace folio {

/// A copy to the host under way; see HostCopy.
class CopyToHost {
 public:
  virtual ~CopyToHost() = default;
  /// Waits until it is done. The bytes stay where they are for as long as this lives.
  virtual const std::byte* wait() = 0;
};

/// A copy from the host under way, which keeps its target; see DeviceCopy. Ops issued once this is gone run behind it.
class CopyFromHost {
 public:
  virtual ~CopyFromHost() = default;
};

/// All that a device is to the rest of Folio: memory, copies to and from the host, and one table of kernels.
struct Backend {
  std::byte* (*allocate)(std::size_t bytes);
  void (*deallocate)(std::byte* data, std::size_t bytes);
  void (*copy_from_host)(std::byte* device, const std::byte* host, std::size_t bytes);
  void (*copy_to_host)(std::byte* host, const std::byte* device, std::size_t bytes);
  /// Of a packed tensor's values as they are now. Null for the CPU, as the next, which has nothing to wait for.
  std::shared_ptr<CopyToHost> (*begin_copy_to_host)(const Tensor& x);
  /// Into a new packed tensor; `from` may change once this returns.
  std::shared_ptr<CopyFromHost> (*begin_copy_from_host)(const Tensor& to, const std::byte* from);
  /// Bytes that the allocator has from the device or the system, those that no tensor uses included.
  std::size_t (*held_memory)();
  /// Gives back what no tensor uses, as far as it was not taken together with what one does.
  void (*release_cached_memory)();
  Kernels kernels;
};

/// The backend of a device, or an Error that names the CMake target to link.
const Backend& backend(Device device);

/// Called by programs that link another backend; the CPU is always there.
void enable_backend(Device device, const Backend& backend);

/// Waits until all that was issued to any device has run. An Error where a kernel complains.
void wait_for_devices();

}  // namespace folio
