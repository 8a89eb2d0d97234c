#pragma once
/// What attention's kernels share: how the tensors lie, and tiles of rows in shared memory. A warp serves one query (or,
/// for the gradients of keys and values, one key); its lanes take one row of the tile each for the scores, and one
/// channel each for the sums. Tiles hold elements as they are stored: 16-bit ones take half the room, so that twice as
/// many warps share a tile, and half the loads, two channels each. What belongs to one warp is in Accumulator<T>.
#include "cuda/rows.hpp"

namespace folio::FOLIO_CUDA {

/// Strides of x (B, T, H, width); the last is 1.
struct HeadStrides {
  std::int64_t batch, time, head;
  __device__ std::int64_t at(std::int64_t b, std::int64_t t, std::int64_t h) const {
    return b * batch + t * time + h * head;
  }
};

/// Elements that fill a word of shared memory; a load takes so many at once.
template <typename T>
constexpr int word = sizeof(T) < 4 ? 4 / sizeof(T) : 1;

/// Rows of a tile lie an odd number of words apart, so that lanes reading one column meet no bank twice.
template <typename T>
__host__ __device__ int pitch_of(int width) {
  return ((width + word<T> - 1) / word<T> | 1) * word<T>;
}

struct Attention {
  std::int64_t batch, heads, queries, keys, offset;
  int own, shared, out;  ///< channels of a key of its own, of the shared key, and of a value
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

/// Where the warps' own memory begins in the block's: after the tiles, which fill whole elements of Accumulator<T>.
template <typename T>
__device__ Accumulator<T>* own_memory(T* memory, const Attention& a) {
  return reinterpret_cast<Accumulator<T>*>(memory + a.tile_elements<T>());
}

inline HeadStrides head_strides(const Tensor& x) { return {x.strides()[0], x.strides()[1], x.strides()[2]}; }

/// Channel c of key s: its own part, then the part that all heads share.
template <typename T>
__device__ T key_channel(const Attention& a, const T* k, const T* shared, std::int64_t b, std::int64_t h,
                         std::int64_t s, int c) {
  return c < a.own ? k[a.k.at(b, s, h) + c] : shared[b * a.shared_batch + s * a.shared_time + c - a.own];
}

/// Rows [first, first + rows) of x, `width` channels each, into a tile.
template <typename T>
__device__ void load_tile(const T* x, HeadStrides stride, std::int64_t b, std::int64_t h, std::int64_t first, int rows,
                          int width, T* tile) {
  const int pitch = pitch_of<T>(width);
  for (int i = static_cast<int>(threadIdx.x); i < rows * width; i += static_cast<int>(blockDim.x)) {
    tile[i / width * pitch + i % width] = x[stride.at(b, first + i / width, h) + i % width];
  }
}
template <typename T>
__device__ void load_keys(const Attention& a, const T* k, const T* shared, std::int64_t b, std::int64_t h,
                          std::int64_t first, int rows, T* tile) {
  const int width = a.width(), pitch = pitch_of<T>(width);
  for (int i = static_cast<int>(threadIdx.x); i < rows * width; i += static_cast<int>(blockDim.x)) {
    tile[i / width * pitch + i % width] = key_channel(a, k, shared, b, h, first + i / width, i % width);
  }
}

/// Σ_c a[c]·row[c], row in a tile.
template <typename T>
__device__ Accumulator<T> dot(const Accumulator<T>* a, const T* row, int n) {
  Accumulator<T> sum = 0;
  int c = 0;
  for (; c + word<T> <= n; c += word<T>) {
    const Pack<T, word<T>> pack = load_pack<T, word<T>>(row + c);
    for (int i = 0; i < word<T>; ++i) sum += a[c + i] * wide(pack[i]);
  }
  for (; c < n; ++c) sum += a[c] * wide(row[c]);
  return sum;
}

/// sum[c] = fade·sum[c] + Σ_j weight[j]·tile[j, c] over the rows [from, rows), the lane's share of the channels [0, width).
template <typename T>
__device__ void add_rows(const Accumulator<T>* weight, const T* tile, int from, int rows, int width,
                         Accumulator<T> fade, Accumulator<T>* sum) {
  const int pitch = pitch_of<T>(width);
  for (int c = lane_index(); c < width; c += warp_threads) {
    Accumulator<T> part = sum[c] * fade;
    for (int j = from; j < rows; ++j) part += weight[j] * wide(tile[j * pitch + c]);
    sum[c] = part;
  }
}

}  // namespace folio::FOLIO_CUDA
