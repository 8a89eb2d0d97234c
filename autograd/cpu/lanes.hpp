#pragma once
// Rows of any length and place in whole vectors. Eigen takes the ends of a row that is not aligned one element at a time,
// which costs more than the rest where a formula holds an exp, and lets a row's place in memory change its bits.
#include <Eigen/Core>
#include <algorithm>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "autograd/cpu/elementwise.hpp"

namespace folio::cpu {

template <class T>
using Lanes = Eigen::Map<Eigen::Array<T, Eigen::Dynamic, 1>, Eigen::Aligned64>;

/// Calls f(block, begin) for consecutive pieces of x: block is a copy of x[begin …] as T that may be changed, filled up to
/// whole vectors with `padding`.
template <class T, class Stored, class F>
void for_lanes(const Stored* x, std::int64_t n, T padding, F&& f) {
  constexpr std::int64_t lanes = 64 / sizeof(T);
  alignas(64) T buffer[detail::chunk];
  for (std::int64_t begin = 0; begin < n; begin += detail::chunk) {
    const std::int64_t length = std::min(detail::chunk, n - begin);
    const std::int64_t padded = (length + lanes - 1) / lanes * lanes;
    detail::pack_run(x + begin, 1, length, buffer);
    std::fill(buffer + length, buffer + padded, padding);
    f(Lanes<T>(buffer, padded), begin);
  }
}

/// The largest of n elements as T; any of them, where there is a NaN.
template <class T, class Stored>
T largest_of(const Stored* x, std::int64_t n) {
  if constexpr (std::is_same_v<T, Stored>) {
    return Row<T>(x, n).maxCoeff();
  } else {
    constexpr T least = -std::numeric_limits<T>::infinity();
    T largest = least;
    for_lanes(x, n, least, [&](Lanes<T> block, std::int64_t) { largest = std::max(largest, block.maxCoeff()); });
    return largest;
  }
}

/// x ← e^(x − shift), exactly 0 where that is no normal number: Eigen clamps its argument, so that e^−∞ is not quite 0.
template <class T>
void exp_shifted(Lanes<T>& x, T shift) {
  x = (x - shift).exp();
  for (std::int64_t i = 0; i < x.size(); ++i)
    x.data()[i] = x.data()[i] < std::numeric_limits<T>::min() ? T{0} : x.data()[i];
}

/// out = e^(in − max in)/Σ e^(in − max in) for one row; `out` may be `in`.
template <class T>
void softmax_row(const T* in, std::int64_t width, T* out) {
  const T largest = Row<T>(in, width).maxCoeff();
  T total = 0;
  for_lanes(in, width, -std::numeric_limits<T>::infinity(), [&](Lanes<T> block, std::int64_t first) {
    exp_shifted(block, largest);
    total += block.sum();
    std::copy_n(block.data(), std::min<std::int64_t>(block.size(), width - first), out + first);
  });
  MutableRow<T>(out, width) /= total;
}

/// Rows of this width that make one parallel task.
inline std::int64_t rows_per_task(std::int64_t width) { return std::max<std::int64_t>(1, detail::task / (width + 1)); }

}  // namespace folio::cpu
