#include "autograd/storage.hpp"

#include <array>
#include <atomic>
#include <bit>
#include <cstdlib>
#include <mutex>
#include <unordered_map>
#include <vector>

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

#if defined(__SANITIZE_ADDRESS__)
constexpr bool cache_blocks = false;  // so that the sanitizer sees every use after free
#else
constexpr bool cache_blocks = true;
#endif

/// Keeps freed blocks by size, so that training steps, which ask for the same sizes again and again, do not pay the
/// system for fresh pages. Never destroyed: tensors in statics may outlive every other static.
class BlockCache {
 public:
  static BlockCache& instance() {
    static auto* cache = new BlockCache;
    return *cache;
  }
  std::byte* take(std::size_t bytes) {
    const std::size_t size = rounded(bytes);
    if (cache_blocks) {
      const std::scoped_lock lock(mutex_);
      if (auto& blocks = free_[size]; !blocks.empty()) {
        std::byte* block = blocks.back();
        blocks.pop_back();
        return block;
      }
    }
    void* block = std::aligned_alloc(alignment, size);
    if (block == nullptr) {
      release();
      block = std::aligned_alloc(alignment, size);
    }
    if (block == nullptr) {
      throw OutOfMemory("out of memory: asked for " + in_mebibytes(size) + ", tensors hold " + in_mebibytes(held_),
                        held_);
    }
    held_ += size;
    return static_cast<std::byte*>(block);
  }
  void give(std::byte* block, std::size_t bytes) {
    if (!cache_blocks) {
      held_ -= rounded(bytes);
      return std::free(block);
    }
    const std::scoped_lock lock(mutex_);
    free_[rounded(bytes)].push_back(block);
  }
  void release() {
    const std::scoped_lock lock(mutex_);
    for (auto& [size, blocks] : free_) {
      for (std::byte* block : blocks) std::free(block);
      held_ -= size * blocks.size();
      blocks.clear();
    }
  }
  std::size_t held() const { return held_; }

 private:
  static constexpr std::size_t alignment = 64;
  /// Whole cache lines; above 4 KiB, eighths of a power of two, so that nearby sizes share blocks.
  static std::size_t rounded(std::size_t bytes) {
    const int shift = bytes <= 4096 ? 6 : std::bit_width(bytes) - 4;
    return std::max(alignment, (bytes + (std::size_t{1} << shift) - 1) >> shift << shift);
  }
  std::mutex mutex_;
  std::unordered_map<std::size_t, std::vector<std::byte*>> free_;
  std::atomic<std::size_t> held_{0};
};

}  // namespace

std::byte* cpu_allocate(std::size_t bytes) { return BlockCache::instance().take(bytes); }
void cpu_deallocate(std::byte* data, std::size_t bytes) { BlockCache::instance().give(data, bytes); }
std::size_t cpu_held_memory() { return BlockCache::instance().held(); }
void release_cached_memory() { BlockCache::instance().release(); }
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
