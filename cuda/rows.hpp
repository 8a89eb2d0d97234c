#pragma once
/// One warp per row: reductions by shuffles, rows read and written 16 bytes at a time where their addresses allow it.
#include "cuda/op.hpp"

namespace folio::FOLIO_CUDA {

template <typename T>
__device__ T warp_sum(T value) {
  for (int distance = 16; distance > 0; distance /= 2) value += __shfl_xor_sync(all_lanes, value, distance);
  return value;
}
/// The largest, NaN left aside.
template <typename T>
__device__ T warp_max(T value) {
  for (int distance = 16; distance > 0; distance /= 2) {
    value = fmax(value, __shfl_xor_sync(all_lanes, value, distance));
  }
  return value;
}

/// Calls f(c, x[c]) for the lane's share of the columns [0, n).
template <typename T, typename F>
__device__ void each_of_row(const T* x, std::int64_t n, F&& f) {
  constexpr int wide = Pack<T>::size;
  const int lane = lane_index();
  const std::int64_t packs = is_pack_aligned<Pack<T>>(x) ? n / wide : 0;
  for (std::int64_t p = lane; p < packs; p += warp_threads) {
    const Pack<T> values = load_pack(x + p * wide);
    for (int i = 0; i < wide; ++i) f(p * wide + i, values[i]);
  }
  for (std::int64_t c = packs * wide + lane; c < n; c += warp_threads) f(c, x[c]);
}

/// y[c] = f(c, x[c]) for the lane's share of the columns [0, n).
template <typename T, typename F>
__device__ void map_row(const T* x, T* y, std::int64_t n, F&& f) {
  constexpr int wide = Pack<T>::size;
  const int lane = lane_index();
  const std::int64_t packs = is_pack_aligned<Pack<T>>(x) && is_pack_aligned<Pack<T>>(y) ? n / wide : 0;
  for (std::int64_t p = lane; p < packs; p += warp_threads) {
    Pack<T> values = load_pack(x + p * wide);
    for (int i = 0; i < wide; ++i) values[i] = f(p * wide + i, values[i]);
    store_pack(y + p * wide, values);
  }
  for (std::int64_t c = packs * wide + lane; c < n; c += warp_threads) y[c] = f(c, x[c]);
}

}  // namespace folio::FOLIO_CUDA
