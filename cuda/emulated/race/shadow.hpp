#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

namespace folio::cuda_emulated::race {

/// One access of one thread; block 0 means none.
struct Access {
  std::uint32_t block = 0;   ///< its number in the grid, plus 1
  std::int32_t code = 0;     ///< the instruction, relative to code_base()
  std::uint16_t thread = 0;  ///< its number in the block
  std::uint16_t epoch = 0;   ///< how many barriers its block had passed
  std::uint16_t clock = 0;   ///< how many __syncwarps its lane had passed since then, plus 1
};

enum class Kind : std::uint8_t { read, write, atomic };

/// What orders two accesses of one block: a barrier between them, or __syncwarps that both lanes took part in. The
/// accesses of different blocks are never ordered. Within a warp each lane holds a vector clock.
class Clocks {
 public:
  void block_begins(std::uint32_t block, int threads);
  void barrier();
  void warp_barrier(int warp, std::uint32_t lanes);
  /// The mark of an access that `thread` makes now.
  Access stamp(int thread, std::int32_t code) const;
  bool before(const Access& earlier, const Access& now) const;
  bool overflowed() const { return overflowed_; }

 private:
  void reset_lanes();
  std::uint32_t block_ = 0;
  std::uint16_t epoch_ = 0;
  int threads_ = 0;
  bool overflowed_ = false, lanes_fresh_ = false;
  std::array<std::array<std::uint16_t, 32>, 1024> seen_{};  // [thread][lane of its warp]
};

struct Conflict {
  Access earlier, now;
  Kind earlier_kind, kind;
};

/// For every location the last accesses that matter, since the memory was last new: a launch for device memory, a
/// block for shared memory. Cells cover four bytes; a page accessed by twos or ones gets finer cells.
class Shadow {
 public:
  explicit Shadow(const Clocks& clocks) : clocks_(clocks) {}
  void forget();
  std::optional<Conflict> access(std::uintptr_t address, std::size_t bytes, Kind kind, const Access& now);

 private:
  /// Up to two accesses of the latest block that came, by different threads and if possible by different warps: a
  /// third that is in order with neither would find one of them too. And one of a block before.
  struct Recent {
    Access own[2], other_block;
    void add(const Access& now, const Clocks& clocks);
    const Access* unordered_with(const Access& now, const Clocks& clocks) const;
  };
  struct Cell {
    Recent reads, atomics;
    Access write;
    std::uint32_t age = 0;
  };
  struct Page {
    std::size_t grain = 4;
    std::vector<Cell> cells;
  };
  static constexpr std::size_t page_bytes = 4096;

  Page& page(std::uintptr_t number);
  static void refine(Page& page, std::size_t grain);
  std::optional<Conflict> touch(Cell& cell, Kind kind, const Access& now) const;

  const Clocks& clocks_;
  std::uint32_t age_ = 0;
  std::unordered_map<std::uintptr_t, std::unique_ptr<Page>> pages_;
  std::array<std::pair<std::uintptr_t, Page*>, 64> recent_pages_{};
};

}  // namespace folio::cuda_emulated::race
