#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>

namespace folio {

/// Where a tensor lives. `cuda` and `cuda_emulated` exist only in programs that link and enable those backends.
enum class Device : std::uint8_t { cpu, cuda, cuda_emulated };
constexpr int device_count = 3;
const char* name_of(Device device);

/// One allocation, shared by a tensor and its views. `version` counts in-place changes, so that the tape can tell when
/// something that it saved has been overwritten.
class Storage {
 public:
  Storage(std::size_t bytes, Device device);
  ~Storage();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  std::byte* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }
  Device device() const { return device_; }
  std::uint32_t version = 0;

 private:
  std::byte* data_;
  std::size_t bytes_;
  Device device_;
};

/// Bytes held by live tensors of this process, and the most that were held at once since `reset_peak`.
struct MemoryStatistics {
  std::size_t live = 0;
  std::size_t peak = 0;
};
MemoryStatistics memory_statistics(Device device = Device::cpu);
void reset_peak_memory(Device device = Device::cpu);

/// Hands cached free blocks of the CPU back to the system: see autograd/memory.hpp.
void release_cached_memory();

}  // namespace folio
