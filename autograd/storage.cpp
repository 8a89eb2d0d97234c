#include "autograd/storage.hpp"

#include <array>
#include <atomic>

#include "autograd/backend.hpp"
#include "autograd/memory.hpp"

namespace folio {
namespace {

struct Counters {
  std::atomic<std::size_t> live{0};
  std::atomic<std::size_t> peak{0};
};

Counters& counters(Device device) {
  static std::array<Counters, device_count> all;
  return all[static_cast<std::size_t>(device)];
}

}  // namespace

std::string in_mebibytes(std::size_t bytes) {
  constexpr std::size_t mebibyte = std::size_t{1} << 20;
  const std::size_t tenths = bytes / mebibyte * 10 + (bytes % mebibyte * 10 + mebibyte / 2) / mebibyte;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " MiB";
}

std::size_t held_memory(Device device) { return backend(device).held_memory(); }
void release_cached_memory(Device device) { backend(device).release_cached_memory(); }

const char* name_of(Device device) {
  constexpr const char* names[] = {"cpu", "cuda", "cuda-emulated"};
  return names[static_cast<int>(device)];
}

Storage::Storage(std::size_t bytes, Device device)
    : data_(backend(device).allocate(bytes)), bytes_(bytes), device_(device) {
  Counters& c = counters(device);
  const std::size_t live = c.live += bytes;
  std::size_t peak = c.peak;
  while (peak < live && !c.peak.compare_exchange_weak(peak, live)) {
  }
}

Storage::~Storage() {
  counters(device_).live -= bytes_;
  backend(device_).deallocate(data_, bytes_);
}

MemoryStatistics memory_statistics(Device device) { return {counters(device).live, counters(device).peak}; }
void reset_peak_memory(Device device) { counters(device).peak = counters(device).live.load(); }

}  // namespace folio
