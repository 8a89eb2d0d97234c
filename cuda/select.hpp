#pragma once
/// The order in which max, top-k and the router's choice take elements, and a warp's first in it.
#include "cuda/rows.hpp"

namespace folio::FOLIO_CUDA {

template <typename T>
struct Candidate {
  T value;
  std::int32_t index;  ///< −1: none
};

/// Whether a comes before b: NaN first, then the larger value, then the lower index.
template <typename T>
__device__ bool precedes(const Candidate<T>& a, const Candidate<T>& b) {
  if (a.index < 0 || b.index < 0) return b.index < 0 && a.index >= 0;
  const bool a_nan = isnan(a.value), b_nan = isnan(b.value);
  if (a_nan != b_nan) return a_nan;
  return a.value > b.value || (!(a.value < b.value) && a.index < b.index);
}

/// The first of the lanes' candidates, on every lane.
template <typename T>
__device__ Candidate<T> warp_first(Candidate<T> best) {
  for (int distance = 16; distance > 0; distance /= 2) {
    const Candidate<T> other = {__shfl_xor_sync(all_lanes, best.value, distance),
                                __shfl_xor_sync(all_lanes, best.index, distance)};
    if (precedes(other, best)) best = other;
  }
  return best;
}

}  // namespace folio::FOLIO_CUDA
