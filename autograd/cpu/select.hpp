#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>

namespace folio::cpu {

/// The indices of the k best of value[0 … n), best first, in the front of `order`, which has room for n: NaN is beyond every
/// number, then the largest, ties toward the lowest index.
template <class T>
void best_of(const T* value, std::int64_t n, std::int64_t k, std::int32_t* order) {
  std::iota(order, order + n, 0);
  std::partial_sort(order, order + k, order + n, [value](std::int32_t a, std::int32_t b) {
    const bool a_nan = std::isnan(value[a]), b_nan = std::isnan(value[b]);
    if (a_nan != b_nan) return a_nan;
    return value[a] > value[b] || (!(value[a] < value[b]) && a < b);
  });
}

}  // namespace folio::cpu
