#include "cuda/emulated/order.hpp"

#include <numeric>
#include <utility>

namespace folio::cuda_emulated {
namespace {

/// The place of the set bit number `k`, counted from 0 at the low end.
int nth_bit(std::uint32_t bits, int k) {
  while (k-- > 0) bits &= bits - 1;
  return std::countr_zero(bits);
}

}  // namespace

Schedule* const the_schedule = new Schedule;

void set_order(Order order, std::uint64_t seed) { schedule() = {order, Random(seed)}; }

Order current_order() { return schedule().order; }

const char* name_of(Order order) {
  constexpr const char* names[] = {"in-order", "reverse", "uniform", "warp-priority"};
  return names[static_cast<int>(order)];
}

void Runnable::reset(int threads) {
  lanes_ = {};
  warp_count_ = (threads + 31) / 32;
  for (int warp = 0; warp < warp_count_; ++warp) lanes_[warp] = ~0u;
  if (threads % 32 != 0) lanes_[warp_count_ - 1] = (1u << threads % 32) - 1;
  warps_ = warp_count_ == 32 ? ~0u : (1u << warp_count_) - 1;
  count_ = threads;
  if (schedule().order == Order::warp_priority) draw_priorities();
}

void Runnable::draw_priorities() {
  for (int i = 0; i < warp_count_; ++i) {
    const int j = static_cast<int>(schedule().random.below(i + 1));
    rank_[i] = rank_[j];
    rank_[j] = static_cast<std::uint8_t>(i);
  }
}

int Runnable::pick_uniform() {
  int k = static_cast<int>(schedule().random.below(count_));
  for (int warp = 0;; ++warp) {
    const int here = std::popcount(lanes_[warp]);
    if (k < here) return warp * 32 + nth_bit(lanes_[warp], k);
    k -= here;
  }
}

int Runnable::pick_by_priority() {
  Random& random = schedule().random;
  if (random.one_in(1024)) draw_priorities();  // seldom: a warp must get far ahead before another takes over
  int first = 0;
  while ((warps_ >> rank_[first] & 1u) == 0) ++first;
  const int warp = rank_[first];
  return warp * 32 + nth_bit(lanes_[warp], random.below(std::popcount(lanes_[warp])));
}

BlockWalk::BlockWalk(std::uint64_t blocks) : blocks_(blocks) {
  Schedule& s = schedule();
  if (s.order == Order::reverse) {
    start_ = stride_ = blocks - 1;
  } else if (is_random(s.order) && blocks > 1) {
    start_ = s.random.next() % blocks;
    do stride_ = s.random.next() % blocks;
    while (std::gcd(stride_, blocks) != 1);
  }
}

}  // namespace folio::cuda_emulated
