#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <mutex>
#include <vector>

#include "autograd/memory.hpp"

namespace folio {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool cache_blocks = false;  // so that the sanitizer sees every use after free
#else
constexpr bool cache_blocks = true;
#endif
constexpr std::size_t cache_line = 64;
constexpr std::size_t huge_page = std::size_t{1} << 21;
constexpr std::size_t slab_bytes = 4 * huge_page;

/// Sizes that blocks are rounded up to: whole cache lines; above 4 KiB, eighths of a power of two, so that nearby sizes
/// share blocks.
struct SizeClass {
  std::size_t size, index;
};
constexpr SizeClass class_of(std::size_t bytes) {
  constexpr std::size_t lines = 64, eighths = 8;
  if (bytes <= lines * cache_line) {
    const std::size_t count = std::max<std::size_t>(1, (bytes + cache_line - 1) / cache_line);
    return {count * cache_line, count - 1};
  }
  const int shift = std::bit_width(bytes - 1) - 4;
  const std::size_t count = ((bytes - 1) >> shift) + 1;  // of eighths: 9 … 16
  return {count << shift, lines + static_cast<std::size_t>(shift - 9) * eighths + count - eighths - 1};
}
constexpr std::size_t class_count = class_of(~std::size_t{0} >> 1).index + 1;

/// Keeps freed blocks by size, so that training steps, which ask for the same sizes again and again, do not pay the
/// system for fresh pages. Those are huge ones where the system has them, so that a product that reads much memory waits
/// for few page tables: blocks of less are cut from slabs of several. Never destroyed: tensors in statics may outlive every
/// other static.
class BlockCache {
 public:
  static BlockCache& instance() {
    static auto* cache = new BlockCache;
    return *cache;
  }
  std::byte* take(std::size_t bytes) {
    const auto [size, index] = class_of(bytes);
    const std::scoped_lock lock(mutex_);
    if (auto& blocks = free_[index].free; !blocks.empty()) {
      std::byte* block = blocks.back();
      blocks.pop_back();
      return block;
    }
    std::byte* block = fresh(size);
    if (block == nullptr) {
      release_all();
      block = fresh(size);
    }
    if (block == nullptr) {
      throw OutOfMemory("out of memory: asked for " + in_mebibytes(size) + ", tensors hold " + in_mebibytes(held_),
                        held_);
    }
    held_ += size;
    return block;
  }
  void give(std::byte* block, std::size_t bytes) {
    const auto [size, index] = class_of(bytes);
    const std::scoped_lock lock(mutex_);
    if (cache_blocks) {
      free_[index].size = size;
      free_[index].free.push_back(block);
    } else {
      held_ -= size;
      std::free(block);
    }
  }
  void release() {
    const std::scoped_lock lock(mutex_);
    release_all();
  }
  std::size_t held() {
    const std::scoped_lock lock(mutex_);
    return held_;
  }

 private:
  /// Memory from the system, or null.
  static std::byte* in_huge_pages(std::size_t size, std::size_t alignment) {
    void* block = std::aligned_alloc(alignment, (size + huge_page - 1) / huge_page * huge_page);
    if (block != nullptr) madvise(block, size, MADV_HUGEPAGE);
    return static_cast<std::byte*>(block);
  }
  std::byte* fresh(std::size_t size) {
    if (!cache_blocks) return static_cast<std::byte*>(std::aligned_alloc(cache_line, size));
    if (size >= huge_page) return in_huge_pages(size, huge_page);
    if (slab_ == nullptr || cut_[slab_] + size > slab_bytes) {
      std::byte* slab = in_huge_pages(slab_bytes, slab_bytes);
      if (slab == nullptr) return nullptr;
      slab_ = slab;
      cut_[slab] = 0;
    }
    std::byte* block = slab_ + cut_[slab_];
    cut_[slab_] += size;
    return block;
  }
  static std::byte* slab_of(std::byte* block) { return block - reinterpret_cast<std::uintptr_t>(block) % slab_bytes; }
  /// Slabs go once no block of theirs is in use.
  void release_all() {
    std::map<std::byte*, std::size_t> used = cut_;
    for (const Blocks& each : free_) {
      if (each.size >= huge_page) continue;
      for (std::byte* block : each.free) used[slab_of(block)] -= each.size;
    }
    for (Blocks& each : free_) {
      std::erase_if(each.free, [&](std::byte* block) {
        const bool in_slab = each.size < huge_page;
        if (in_slab && used[slab_of(block)] > 0) return false;
        if (!in_slab) std::free(block);
        held_ -= each.size;
        return true;
      });
    }
    std::erase_if(cut_, [&](const auto& slab) {
      if (used[slab.first] > 0) return false;
      if (slab_ == slab.first) slab_ = nullptr;
      std::free(slab.first);
      return true;
    });
  }

  struct Blocks {
    std::size_t size = 0;
    std::vector<std::byte*> free;
  };
  std::mutex mutex_;
  std::array<Blocks, class_count> free_;
  std::map<std::byte*, std::size_t> cut_;  ///< how much of each slab is in blocks
  std::byte* slab_ = nullptr;              ///< the one that blocks are cut from
  std::size_t held_ = 0;
};

}  // namespace

std::byte* cpu_allocate(std::size_t bytes) { return BlockCache::instance().take(bytes); }
void cpu_deallocate(std::byte* data, std::size_t bytes) { BlockCache::instance().give(data, bytes); }
std::size_t cpu_held_memory() { return BlockCache::instance().held(); }
void release_cached_memory() { BlockCache::instance().release(); }

}  // namespace folio
