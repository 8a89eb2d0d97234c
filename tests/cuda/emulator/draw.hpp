#pragma once
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <random>
#include <vector>

#include "cuda/emulated/control.hpp"

namespace folio::cuda_emulated::testing {

/// Sets an order and a seed drawn by rapidcheck, for the rest of the case.
inline Order draw_order() {
  const Order order = *rc::gen::element(Order::in_order, Order::reverse, Order::uniform, Order::warp_priority);
  set_order(order, *rc::gen::arbitrary<std::uint64_t>());
  return order;
}

inline int draw_between(int low, int high) { return *rc::gen::inRange(low, high + 1); }

/// Small whole numbers, so that sums in any order are the same.
template <typename T>
std::vector<T> draw_whole_numbers(std::size_t n) {
  std::mt19937_64 random(*rc::gen::arbitrary<std::uint64_t>());
  std::vector<T> x(n);
  for (T& value : x) value = static_cast<T>(static_cast<float>(static_cast<int>(random() % 17) - 8));
  return x;
}

}  // namespace folio::cuda_emulated::testing
