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
__device__ RowTotal<Accumulator<T>> row_total(const T* x, std::int64_t n) {
  using A = Accumulator<T>;
  const A nothing = static_cast<A>(-INFINITY);
  A largest = nothing, total = 0;
  const auto add = [&](std::int64_t, A value) {
    if (value > largest) {
      total = total * exp(largest - value) + (isinf(value) ? static_cast<A>(NAN) : A{1});
      largest = value;
    } else if (!(value == nothing)) {
      total += exp(value - largest);
    }
  };
  each_of_row(n, add, x);
  const A all = warp_max(largest);
  // A lane that saw nothing but −∞ adds nothing, unless all lanes did.
  const A part = largest == nothing && all > nothing && !isnan(total) ? A{0} : total * exp(largest - all);
  return {all, warp_sum(part)};
}

}  // namespace folio::FOLIO_CUDA
