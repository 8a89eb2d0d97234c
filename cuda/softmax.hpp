#pragma once
/// log Σ e^x of a row in one pass over it: the largest element so far, and the sum relative to it, are kept together
/// (Milakov and Gimelshein 2018).
#include "cuda/rows.hpp"

namespace folio::FOLIO_CUDA {

template <typename T>
struct RowTotal {
  T largest;  ///< NaN left aside
  T total;    ///< Σ e^(x − largest): NaN if an x is NaN or +∞, or if all are −∞
};

/// By one warp, given to all of its lanes.
template <typename T>
__device__ RowTotal<T> row_total(const T* x, std::int64_t n) {
  const T nothing = static_cast<T>(-INFINITY);
  T largest = nothing, total = 0;
  each_of_row(x, n, [&](std::int64_t, T value) {
    if (value > largest) {
      total = total * exp(largest - value) + (isinf(value) ? static_cast<T>(NAN) : T{1});
      largest = value;
    } else if (!(value == nothing)) {
      total += exp(value - largest);
    }
  });
  const T all = warp_max(largest);
  // A lane that saw nothing but −∞ adds nothing, unless all lanes did.
  const T part = largest == nothing && all > nothing && !isnan(total) ? T{0} : total * exp(largest - all);
  return {all, warp_sum(part)};
}

}  // namespace folio::FOLIO_CUDA
