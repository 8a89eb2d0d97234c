#pragma once
#include <random>
#include <vector>

#include "cuda/emulated/control.hpp"
#include "tests/shares.hpp"

namespace folio::cuda_emulated::testing {

using folio::testing::Shares;

/// Sets an order drawn by rapidcheck, with this seed, for the rest of the draw.
inline void draw_order(Shares& shares, std::uint64_t seed) {
  const Order order = *rc::gen::element(Order::in_order, Order::reverse, Order::uniform, Order::warp_priority);
  shares.note("in a random order of threads", order == Order::uniform || order == Order::warp_priority, 35);
  set_order(order, seed);
}

inline int draw_between(int low, int high) { return static_cast<int>(folio::testing::between(low, high)); }

/// Small whole numbers, so that sums in any order are the same.
template <typename T>
std::vector<T> draw_whole_numbers(std::size_t n) {
  std::mt19937_64 random(*rc::gen::arbitrary<std::uint64_t>());
  std::vector<T> x(n);
  for (T& value : x) value = static_cast<T>(static_cast<float>(static_cast<int>(random() % 17) - 8));
  return x;
}

}  // namespace folio::cuda_emulated::testing
