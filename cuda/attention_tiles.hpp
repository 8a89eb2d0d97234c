#pragma once
/// What attention's kernels share: how the tensors lie, and tiles of rows in shared memory. A warp serves one query (or,
/// for the gradients of keys and values, one key); its lanes take one row of the tile each for the scores, and one
/// channel each for the sums.
#include "cuda/rows.hpp"

namespace folio::FOLIO_CUDA {

/// Strides of x (B, T, H, width); the last is 1.
struct HeadStrides {
  std::int64_t batch, time, head;
  __device__ std::int64_t at(std::int64_t b, std::int64_t t, std::int64_t h) const {
    return b * batch + t * time + h * head;
  }
};

struct Attention {
  std::int64_t batch, heads, queries, keys, offset;
  int own, shared, out;  ///< channels of a key of its own, of the shared key, and of a value
  double scale;
  int tile;  ///< rows in shared memory at once
  HeadStrides q, k, v, dy, y;
  std::int64_t shared_batch, shared_time;  ///< strides of the shared key (B, S, shared)

  __host__ __device__ int width() const { return own + shared; }
  /// Rows of a tile lie an odd number of elements apart, so that lanes reading one column meet no bank twice.
  __host__ __device__ int key_pitch() const { return width() | 1; }
  __host__ __device__ int value_pitch() const { return out | 1; }
  __host__ __device__ int tile_elements() const { return tile * (key_pitch() + value_pitch()); }
};

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
                          int width, int pitch, T* tile) {
  for (int i = static_cast<int>(threadIdx.x); i < rows * width; i += static_cast<int>(blockDim.x)) {
    tile[i / width * pitch + i % width] = x[stride.at(b, first + i / width, h) + i % width];
  }
}
template <typename T>
__device__ void load_keys(const Attention& a, const T* k, const T* shared, std::int64_t b, std::int64_t h,
                          std::int64_t first, int rows, T* tile) {
  const int width = a.width();
  for (int i = static_cast<int>(threadIdx.x); i < rows * width; i += static_cast<int>(blockDim.x)) {
    tile[i / width * a.key_pitch() + i % width] = key_channel(a, k, shared, b, h, first + i / width, i % width);
  }
}

template <typename T>
__device__ T dot(const T* a, const T* b, int n) {
  T sum = 0;
  for (int c = 0; c < n; ++c) sum += a[c] * b[c];
  return sum;
}

}  // namespace folio::FOLIO_CUDA
