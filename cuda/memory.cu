#include "cuda/memory.hpp"

#include <bit>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "autograd/memory.hpp"

namespace folio::FOLIO_CUDA {
namespace {

// ── Device memory ────────────────────────────────────────────────────────────────────────────────────────────────────
class BlockCache {
 public:
  std::byte* take(std::size_t bytes) {
    const std::scoped_lock lock(mutex_);
    const std::size_t size = rounded(bytes);
    auto& blocks = free_[size];
    std::byte* block = nullptr;
    if (!blocks.empty()) {
      block = blocks.back();
      blocks.pop_back();
    } else {
      block = fresh(size);
      held_ += size;
    }
    memory_claimed(block, std::max<std::size_t>(bytes, 1), stream());
    return block;
  }
  void give(std::byte* block, std::size_t bytes) {
    const std::scoped_lock lock(mutex_);
    memory_released(block, std::max<std::size_t>(bytes, 1), stream());
    free_[rounded(bytes)].push_back(block);
  }
  std::size_t held() {
    const std::scoped_lock lock(mutex_);
    return held_;
  }
  void release() {
    const std::scoped_lock lock(mutex_);
    release_all();
  }

 private:
  /// Multiples of 512 bytes; above 8 KiB, eighths of a power of two, so that nearby sizes share blocks.
  static std::size_t rounded(std::size_t bytes) {
    const std::size_t step = bytes <= 8192 ? 512 : std::bit_floor(bytes) / 8;
    return std::max<std::size_t>(512, (bytes + step - 1) / step * step);
  }
  std::byte* fresh(std::size_t size) {
    void* block = nullptr;
    if (cudaMalloc(&block, size) == cudaSuccess) return static_cast<std::byte*>(block);
    cudaGetLastError();
    release_all();
    if (cudaMalloc(&block, size) == cudaSuccess) return static_cast<std::byte*>(block);
    cudaGetLastError();
    std::size_t free = 0, total = 0;
    check(cudaMemGetInfo(&free, &total));
    throw OutOfMemory("out of device memory: asked for " + in_mebibytes(size) + ", tensors hold " +
                          in_mebibytes(held_) + ", free are " + in_mebibytes(free) + " of " + in_mebibytes(total),
                      held_ + free);
  }
  void release_all() {
    check(cudaStreamSynchronize(stream()));
    for (auto& [size, blocks] : free_) {
      for (std::byte* block : blocks) check(cudaFree(block));
      held_ -= size * blocks.size();
      blocks.clear();
    }
  }

  std::mutex mutex_;
  std::unordered_map<std::size_t, std::vector<std::byte*>> free_;
  std::size_t held_ = 0;
};

/// Never destroyed, here and below: tensors in statics may outlive every other static.
BlockCache& blocks() {
  static auto* const the = new BlockCache;
  return *the;
}

}  // namespace

cudaStream_t stream() {
  static const cudaStream_t the = [] {
    cudaStream_t made = nullptr;
    check(cudaStreamCreateWithFlags(&made, cudaStreamNonBlocking));
    return made;
  }();
  return the;
}

std::byte* allocate(std::size_t bytes) { return blocks().take(bytes); }
void deallocate(std::byte* data, std::size_t bytes) { blocks().give(data, bytes); }
std::size_t held_memory() { return blocks().held(); }
void release_cached_memory() { blocks().release(); }

}  // namespace folio::FOLIO_CUDA
