#include "autograd/memory.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <utility>

namespace folio {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool cache_blocks = false;  // so that the sanitizer sees every use after free
#else
constexpr bool cache_blocks = true;
#endif
constexpr std::size_t cache_line = 64;
constexpr std::size_t page = std::size_t{1} << 16;  // a multiple of every system's
constexpr std::size_t huge_page = std::size_t{1} << 21;
constexpr std::size_t slab_bytes = 4 * huge_page;
/// What may be held unasked: so many times the most that was ever in use (training steps come to less than twice), or this.
constexpr std::size_t most_times_used = 3, least_held = std::size_t{1} << 26;

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
constexpr std::size_t most_bytes = ~std::size_t{0} >> 1;
constexpr std::size_t class_count = class_of(most_bytes).index + 1;

/// Whole pages from the system at a multiple of `alignment`, huge ones where it has them; null if it has none.
std::byte* map_pages(std::size_t size, std::size_t alignment) {
  if (size > most_bytes - alignment) return nullptr;
  void* mapped = mmap(nullptr, size + alignment, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return nullptr;
  auto* begin = static_cast<std::byte*>(mapped);
  const std::size_t ahead = (alignment - reinterpret_cast<std::uintptr_t>(begin) % alignment) % alignment;
  if (ahead > 0) munmap(begin, ahead);
  if (ahead < alignment) munmap(begin + ahead + size, alignment - ahead);
#ifdef MADV_HUGEPAGE
  madvise(begin + ahead, size, MADV_HUGEPAGE);
#endif
  return begin + ahead;
}

/// Keeps freed blocks by size, so that training steps, which ask for the same sizes again and again, do not pay the
/// system for fresh pages. Those are huge ones where the system has them, so that a product that reads much memory waits
/// for few page tables: blocks of less are cut from slabs of several. Where much more is held than was ever in use and yet
/// nothing fits, as for a tensor that grows from size to size, free blocks go back first. Never destroyed: tensors in
/// statics may outlive every other static.
class BlockCache {
 public:
  static BlockCache& instance() {
    static auto* cache = new BlockCache;
    return *cache;
  }
  std::byte* take(std::size_t bytes) {
    const std::scoped_lock lock(mutex_);
    const auto [size, index] = class_of(std::min(bytes, most_bytes));
    std::byte* block = free_[index].pop();
    if (block == nullptr) {
      if (size >= huge_page && held_ > std::max(most_times_used * most_used_, least_held)) release_all();
      block = fresh(size);
    }
    if (block == nullptr) {
      release_all();
      block = fresh(size);
    }
    if (block == nullptr) {
      throw OutOfMemory("out of memory: asked for " + in_mebibytes(size) + ", tensors hold " + in_mebibytes(held_),
                        held_);
    }
    used_ += size;
    most_used_ = std::max(most_used_, used_);
    return block;
  }
  void give(std::byte* block, std::size_t bytes) {
    const auto [size, index] = class_of(bytes);
    const std::scoped_lock lock(mutex_);
    used_ -= size;
    if (cache_blocks) {
      free_[index].size = size;
      free_[index].push(block);
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
  struct Slab {
    std::size_t cut = 0;   ///< bytes that are in blocks
    std::size_t idle = 0;  ///< of those, bytes in free ones: counted when slabs are looked through
  };
  /// Each free block begins with the address of the next, so that freeing one takes no memory.
  struct FreeList {
    std::size_t size = 0;
    std::byte* first = nullptr;

    static std::byte* after(const std::byte* block) {
      std::byte* next;
      std::memcpy(&next, block, sizeof next);
      return next;
    }
    void push(std::byte* block) {
      std::memcpy(block, &first, sizeof first);
      first = block;
    }
    std::byte* pop() { return first == nullptr ? nullptr : std::exchange(first, after(first)); }
  };

  /// A block from the system or from a slab, or null.
  std::byte* fresh(std::size_t size) {
    if (cache_blocks && size < huge_page) return cut(size);
    std::byte* block = nullptr;
    if (cache_blocks) {
      size = whole_pages(size);
      block = map_pages(size, huge_page);
    } else {
      block = static_cast<std::byte*>(std::aligned_alloc(cache_line, size));
    }
    if (block != nullptr) held_ += size;
    return block;
  }
  std::byte* cut(std::size_t size) {
    if (open_ == slabs_.end() || open_->second.cut + size > slab_bytes) {
      std::byte* pages = map_pages(slab_bytes, slab_bytes);
      if (pages == nullptr) return nullptr;
      open_ = slabs_.emplace(pages, Slab{}).first;
      held_ += slab_bytes;
    }
    std::byte* block = open_->first + open_->second.cut;
    open_->second.cut += size;
    return block;
  }
  static std::size_t whole_pages(std::size_t size) { return (size + page - 1) / page * page; }
  Slab& slab_of(std::byte* block) {
    return slabs_.find(block - reinterpret_cast<std::uintptr_t>(block) % slab_bytes)->second;
  }

  /// Gives free blocks back, those in slabs once no block of the slab is in use.
  void release_all() {
    for (auto& [pages, slab] : slabs_) slab.idle = 0;
    for (const FreeList& each : free_) {
      if (each.size >= huge_page) continue;
      for (std::byte* block = each.first; block != nullptr; block = FreeList::after(block)) {
        slab_of(block).idle += each.size;
      }
    }
    for (FreeList& each : free_) {
      FreeList all = std::exchange(each, FreeList{.size = each.size});
      while (std::byte* block = all.pop()) {
        if (each.size >= huge_page) {
          munmap(block, whole_pages(each.size));
          held_ -= whole_pages(each.size);
        } else if (slab_of(block).idle < slab_of(block).cut) {
          each.push(block);
        }
      }
    }
    for (auto slab = slabs_.begin(); slab != slabs_.end();) {
      if (slab->second.idle < slab->second.cut) {
        ++slab;
        continue;
      }
      if (slab == open_) open_ = slabs_.end();
      munmap(slab->first, slab_bytes);
      held_ -= slab_bytes;
      slab = slabs_.erase(slab);
    }
  }

  std::mutex mutex_;
  std::array<FreeList, class_count> free_;
  std::map<std::byte*, Slab> slabs_;                          ///< by their first byte
  std::map<std::byte*, Slab>::iterator open_ = slabs_.end();  ///< the one that blocks are cut from
  std::size_t held_ = 0;                                      ///< bytes that the system has given
  std::size_t used_ = 0, most_used_ = 0;                      ///< of those, bytes of blocks in use, now and at most
};

}  // namespace

std::byte* cpu_allocate(std::size_t bytes) { return BlockCache::instance().take(bytes); }
void cpu_deallocate(std::byte* data, std::size_t bytes) { BlockCache::instance().give(data, bytes); }
std::size_t cpu_held_memory() { return BlockCache::instance().held(); }
void release_cached_memory() { BlockCache::instance().release(); }

}  // namespace folio
