#pragma once
#include <array>
#include <bit>
#include <cstdint>

#include "cuda/emulated/control.hpp"

namespace folio::cuda_emulated {

/// SplitMix64: small, fast, and every seed is a good one.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  /// A number in [0, bound).
  std::uint32_t below(std::uint32_t bound) { return static_cast<std::uint32_t>((next() >> 32) * bound >> 32); }
  bool one_in(std::uint32_t n) { return below(n) == 0; }

 private:
  std::uint64_t state_;
};

/// The current order and its random numbers; set_order() starts them anew.
struct Schedule {
  Order order = Order::in_order;
  Random random{0};
};
extern Schedule* const the_schedule;
inline Schedule& schedule() { return *the_schedule; }
inline bool is_random(Order order) { return order == Order::uniform || order == Order::warp_priority; }

/// The threads of a block that could run now, and the choice among them.
class Runnable {
 public:
  /// All threads of a block, and new priorities.
  void reset(int threads);

  void add(int thread) { add_lanes(thread / 32, 1u << thread % 32); }
  void remove(int thread) {
    const int warp = thread / 32;
    lanes_[warp] &= ~(1u << thread % 32);
    if (lanes_[warp] == 0) warps_ &= ~(1u << warp % 32);
    --count_;
  }
  /// Lanes that were not runnable.
  void add_lanes(int warp, std::uint32_t lanes) {
    lanes_[warp] |= lanes;
    warps_ |= 1u << warp;
    count_ += std::popcount(lanes);
  }
  /// The thread that runs next by the current order; -1 where none can.
  int pick() {
    if (count_ == 0) return -1;
    switch (schedule().order) {
      case Order::in_order: {
        const int warp = std::countr_zero(warps_);
        return warp * 32 + std::countr_zero(lanes_[warp]);
      }
      case Order::reverse: {
        const int warp = 31 - std::countl_zero(warps_);
        return warp * 32 + 31 - std::countl_zero(lanes_[warp]);
      }
      case Order::uniform: return pick_uniform();
      case Order::warp_priority: return pick_by_priority();
    }
    return -1;
  }
  void draw_priorities();

 private:
  int pick_uniform();
  int pick_by_priority();

  std::array<std::uint32_t, 32> lanes_{};
  std::uint32_t warps_ = 0;
  int count_ = 0;
  int warp_count_ = 0;
  std::array<std::uint8_t, 32> rank_{};  // warps, the first to run first
};

/// The blocks of a launch in the order they run in: 0…n−1, its reverse, or a walk drawn at random.
class BlockWalk {
 public:
  explicit BlockWalk(std::uint64_t blocks);
  std::uint64_t operator[](std::uint64_t step) const {
    return static_cast<std::uint64_t>((static_cast<unsigned __int128>(stride_) * step + start_) % blocks_);
  }

 private:
  std::uint64_t blocks_, start_ = 0, stride_ = 1;
};

}  // namespace folio::cuda_emulated
