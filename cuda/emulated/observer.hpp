#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace folio::cuda_emulated {

/// True while a kernel's own code runs, false inside the emulator: what a race observer looks at.
extern bool in_kernel_code;

/// The emulator at work on behalf of a kernel.
struct EmulatorAtWork {
  const bool was = in_kernel_code;
  EmulatorAtWork() { in_kernel_code = false; }
  ~EmulatorAtWork() { in_kernel_code = was; }
};

/// Told of everything that orders the accesses of threads. It never throws: what it found is asked for at the end of
/// each block.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void launch_begins() = 0;
  virtual void block_begins(std::uint64_t block, int threads) = 0;
  virtual void barrier() = 0;
  virtual void warp_barrier(int warp, std::uint32_t lanes) = 0;
  virtual void atomic(const void* address, std::size_t bytes, std::uintptr_t code) = 0;
  /// The first thing found in this block, in one line that begins with the kernel; nothing if all is well.
  struct Finding {
    bool race;  ///< else an address outside every allocation
    std::string message;
  };
  virtual std::optional<Finding> block_ends() = 0;
};

/// The observer of the race build; null elsewhere.
extern Observer* observer;

}  // namespace folio::cuda_emulated
