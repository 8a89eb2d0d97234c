#pragma once
/// What attention's kernels share: how the tensors lie, and tiles of rows in shared memory. A warp serves one query (or,
/// for the gradients of keys and values, one key); its lanes take one row of the tile each for the scores, and two
/// channels each for the sums. Tiles hold elements as they are stored: 16-bit ones take half the room, so that twice as
/// many warps share a tile, and half the loads. What belongs to one warp is in Accumulator<T>.
#include "cuda/rows.hpp"

namespace folio::FOLIO_CUDA {

/// Strides of x (B, T, H, width); the last is 1.
struct HeadStrides {
  std::int64_t batch, time, head;
  __device__ std::int64_t at(std::int64_t b, std::int64_t t, std::int64_t h) const {
    return b * batch + t * time + h * head;
  }
};

/// n elements, rounded up to whole packs of 16 bytes.
template <typename T>
__host__ __device__ int padded(int n) {
  return (n + Pack<T>::size - 1) / Pack<T>::size * Pack<T>::size;
}

/// From one row of a tile to the next: an odd number of packs. Shared memory serves eight lanes' packs at once, from
/// all of its 32 banks: eight neighbours that read one column of their rows meet no bank twice, nor do eight that read
/// or write one row.
template <typename T>
__host__ __device__ int pitch_of(int width) {
  return padded<T>(width) | Pack<T>::size;
}

struct Attention {
  std::int64_t batch, queries, keys, offset;
  unsigned heads, blocks;  ///< blocks: per head of a batch. A division of 64 bits would cost a call, and what it spills
  int own, shared, out;    ///< channels of a key of its own, of the shared key, and of a value
  double scale;
  int tile;  ///< rows in shared memory at once
  HeadStrides q, k, v, dy, y;
  std::int64_t shared_batch, shared_time;  ///< strides of the shared key (B, S, shared)

  __host__ __device__ int width() const { return own + shared; }
  template <typename T>
  __host__ __device__ int tile_elements() const {
    return tile * (pitch_of<T>(width()) + pitch_of<T>(out));
  }
};

/// Where the warps' own memory begins in the block's: after the tiles, which fill whole packs.
template <typename T>
__device__ Accumulator<T>* own_memory(T* memory, const Attention& a) {
  return reinterpret_cast<Accumulator<T>*>(memory + a.tile_elements<T>());
}

inline HeadStrides head_strides(const Tensor& x) { return {x.strides()[0], x.strides()[1], x.strides()[2]}; }

/// `rows` rows of x, `stride` apart and V channels at a time, into a tile by the whole block.
template <int V, typename T>
__device__ void copy_rows(const T* x, std::int64_t stride, int rows, int width, T* tile, int pitch) {
  const int packs = width / V;
#pragma unroll 2
  for (int i = static_cast<int>(threadIdx.x); i < rows * packs; i += static_cast<int>(blockDim.x)) {
    const int row = i / packs, c = i % packs * V;
    store_pack(tile + row * pitch + c, load_pack<T, V>(x + row * stride + c));
  }
}
template <typename T>
__device__ void load_rows(const T* x, std::int64_t stride, int rows, int width, T* tile, int pitch) {
  constexpr int V = Pack<T>::size;
  const bool whole = width % V == 0 && stride % V == 0 && is_pack_aligned<Pack<T>>(x) && is_pack_aligned<Pack<T>>(tile);
  if (whole) {
    copy_rows<V>(x, stride, rows, width, tile, pitch);
  } else {
    copy_rows<1>(x, stride, rows, width, tile, pitch);
  }
}

/// Rows [first, first + rows) of x, `width` channels each, into a tile.
template <typename T>
__device__ void load_tile(const T* x, HeadStrides stride, std::int64_t b, std::int64_t h, std::int64_t first, int rows,
                          int width, T* tile) {
  load_rows(x + stride.at(b, first, h), stride.time, rows, width, tile, pitch_of<T>(width));
}
/// Keys: their own channels, then those of the shared key.
template <typename T>
__device__ void load_keys(const Attention& a, const T* k, const T* shared, std::int64_t b, std::int64_t h,
                          std::int64_t first, int rows, T* tile) {
  const int pitch = pitch_of<T>(a.width());
  load_rows(k + a.k.at(b, first, h), a.k.time, rows, a.own, tile, pitch);
  load_rows(shared + b * a.shared_batch + first * a.shared_time, a.shared_time, rows, a.shared, tile + a.own, pitch);
}

/// A row of n channels into the warp's own memory.
template <typename T>
__device__ void load_own(const T* x, int n, Accumulator<T>* own) {
  each_of_row(
      n, [&](std::int64_t c, Accumulator<T> value) { own[c] = value; }, x);
}

/// Zeros for a sum over n channels, and for what fills its last pack.
template <typename A>
__device__ void clear_own(int n, A* own) {
  for (int c = lane_index(); c < padded<A>(n); c += warp_threads) own[c] = 0;
}

/// Σ_c a[c]·row[c], a in the warp's own memory and row in a tile.
template <typename T>
__device__ Accumulator<T> dot(const Accumulator<T>* a, const T* row, int n) {
  constexpr int N = Pack<T>::size;
  Accumulator<T> sum = 0;
  int c = 0;
#pragma unroll 2
  for (; c + N <= n; c += N) {
    const auto x = Columns<Accumulator<T>, N>::load(a + c);
    const auto y = Columns<T, N>::load(row + c);
    for (int i = 0; i < N; ++i) sum += x.value[i] * y.value[i];
  }
#pragma unroll 1
  for (; c < n; ++c) sum += a[c] * wide(row[c]);
  return sum;
}

/// 0, or NaN where one of the row's elements first, first + step, … below n is not finite.
template <typename T>
__device__ Accumulator<T> zero_of(const T* row, int first, int n, int step) {
  Accumulator<T> zero = 0;
#pragma unroll 1
  for (int c = first; c < n; c += step) zero += 0 * wide(row[c]);
  return zero;
}

/// sum[c] = fade·sum[c] + Σ_j weight[j]·tile[j, c] over the rows [from, rows), the lane's share of the channels. A last
/// channel without a neighbour takes along what fills its row, into what fills the sum.
template <typename T>
__device__ void add_rows(const Accumulator<T>* weight, const T* tile, int from, int rows, int width,
                         Accumulator<T> fade, Accumulator<T>* sum) {
  constexpr int N = 2;
  const int pitch = pitch_of<T>(width);
#pragma unroll 1
  for (int c = N * lane_index(); c < width; c += N * warp_threads) {
    auto part = Columns<Accumulator<T>, N>::load(sum + c);
    for (int i = 0; i < N; ++i) part.value[i] *= fade;
#pragma unroll 4
    for (int j = from; j < rows; ++j) {
      const auto row = Columns<T, N>::load(tile + j * pitch + c);
      for (int i = 0; i < N; ++i) part.value[i] += weight[j] * row.value[i];
    }
    part.store(sum + c);
  }
}

}  // namespace folio::FOLIO_CUDA
