#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>

namespace folio::FOLIO_CUDA {

/// Neighbouring elements that move in one instruction: 16 bytes unless said otherwise.
template <typename T, int N = static_cast<int>(16 / sizeof(T))>
struct alignas(N * sizeof(T)) Pack {
  static_assert(N * sizeof(T) <= 16 && (N & (N - 1)) == 0, "a pack is 1, 2, 4, 8 or 16 bytes");
  static constexpr int size = N;
  T element[N];

  __host__ __device__ T& operator[](int i) { return element[i]; }
  __host__ __device__ const T& operator[](int i) const { return element[i]; }
};

/// Whether the pack that begins at `address` may be moved in one instruction.
template <typename P, typename T>
__host__ __device__ bool is_pack_aligned(const T* address) {
  return reinterpret_cast<std::size_t>(address) % alignof(P) == 0;
}

/// Whether rows are packs of N elements throughout: extents and strides of whole packs, and addresses that are
/// multiples of one, or of 16 bytes where it is larger.
template <int N, typename... T>
bool whole_packs(std::initializer_list<std::int64_t> extents, const T*... x) {
  bool whole = (is_pack_aligned<Pack<T, std::min(N, Pack<T>::size)>>(x) && ...);
  for (const std::int64_t extent : extents) whole = whole && extent % N == 0;
  return whole;
}

/// One load of Pack<T, N>::size elements. `address` must be a multiple of the pack's size (a Fault under emulation).
template <typename T, int N = static_cast<int>(16 / sizeof(T))>
__device__ __forceinline__ Pack<T, N> load_pack(const T* address) {
#ifdef FOLIO_CUDA_EMULATED
  check_aligned(address, sizeof(Pack<T, N>));
#endif
  return *reinterpret_cast<const Pack<T, N>*>(address);
}

/// One store, likewise.
template <typename T, int N>
__device__ __forceinline__ void store_pack(T* address, const Pack<T, N>& pack) {
#ifdef FOLIO_CUDA_EMULATED
  check_aligned(address, sizeof(Pack<T, N>));
#endif
  *reinterpret_cast<Pack<T, N>*>(address) = pack;
}

}  // namespace folio::FOLIO_CUDA
