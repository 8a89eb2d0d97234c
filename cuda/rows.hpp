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

/// N neighbours of a row of T, as they are computed with.
template <typename T, int N>
struct Columns {
  static constexpr int per_pack = N < Pack<T>::size ? N : Pack<T>::size;
  Accumulator<T> value[N];

  __device__ static Columns load(const T* x) {
    Columns columns;
    for (int i = 0; i < N; i += per_pack) {
      const Pack<T, per_pack> pack = load_pack<T, per_pack>(x + i);
      for (int j = 0; j < per_pack; ++j) columns.value[i + j] = wide(pack[j]);
    }
    return columns;
  }
  __device__ void store(T* y) const {
    for (int i = 0; i < N; i += per_pack) {
      Pack<T, per_pack> pack;
      for (int j = 0; j < per_pack; ++j) pack[j] = narrow<T>(value[i + j]);
      store_pack(y + i, pack);
    }
  }
};

namespace detail {

template <int N, typename F, typename... X>
__device__ void give_columns(const F& f, std::int64_t c, const Columns<X, N>&... x) {
  for (int i = 0; i < N; ++i) f(c + i, x.value[i]...);
}
template <int N, typename F, typename Y, typename... X>
__device__ void map_columns(const F& f, std::int64_t c, Y* y, const Columns<X, N>&... x) {
  Columns<Y, N> result;
  for (int i = 0; i < N; ++i) result.value[i] = f(c + i, x.value[i]...);
  result.store(y + c);
}

/// Columns that a lane takes at once: 16 bytes of the smallest type.
template <typename... X>
constexpr int columns_at_once = std::max({Pack<X>::size...});
/// Packs of each row that are loaded before the first is used. Left to itself ptxas unrolls until registers spill.
template <typename... X>
constexpr int packs_ahead = std::max({sizeof(X)...}) == 8 ? 1 : 2;

}  // namespace detail

/// Calls f(c, x[c]…) for the lane's share of the columns [0, n), with elements as they are computed with.
template <typename F, typename... X>
__device__ void each_of_row(std::int64_t n, const F& f, const X*... x) {
  constexpr int N = detail::columns_at_once<X...>;
  [[maybe_unused]] constexpr int packs_ahead = detail::packs_ahead<X...>;
  const int lane = lane_index();
  const std::int64_t whole = (is_pack_aligned<Pack<X>>(x) && ...) ? n / N * N : 0;
#pragma unroll packs_ahead
  for (std::int64_t c = lane * N; c < whole; c += warp_threads * N) {
    detail::give_columns<N>(f, c, Columns<X, N>::load(x + c)...);
  }
#pragma unroll 1
  for (std::int64_t c = whole + lane; c < n; c += warp_threads) f(c, wide(x[c])...);
}

/// y[c] = f(c, x[c]…) for the lane's share of the columns [0, n), rounded once where y holds 16-bit floats.
template <typename F, typename Y, typename... X>
__device__ void map_row(std::int64_t n, const F& f, Y* y, const X*... x) {
  constexpr int N = detail::columns_at_once<Y, X...>;
  [[maybe_unused]] constexpr int packs_ahead = detail::packs_ahead<Y, X...>;
  const int lane = lane_index();
  const std::int64_t whole = is_pack_aligned<Pack<Y>>(y) && (is_pack_aligned<Pack<X>>(x) && ...) ? n / N * N : 0;
#pragma unroll packs_ahead
  for (std::int64_t c = lane * N; c < whole; c += warp_threads * N) {
    detail::map_columns<N>(f, c, y, Columns<X, N>::load(x + c)...);
  }
#pragma unroll 1
  for (std::int64_t c = whole + lane; c < n; c += warp_threads) y[c] = narrow<Y>(f(c, wide(x[c])...));
}

}  // namespace folio::FOLIO_CUDA
