#pragma once
/// What attention's kernels share: how the tensors lie, and tiles of rows in shared memory. A warp serves R neighbouring
/// queries (or, for the gradients of keys and values, keys), for all of which it reads a tile's rows once; its lanes take one
/// row of the tile each for the scores, and two channels each for the sums. Tiles hold elements as they are stored: 16-bit
/// ones take half the room, so that twice as many warps share a tile, and half the loads. What belongs to one warp is in
/// Accumulator<T>.
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

/// sums[r] = Σ_c a[r, c]·row[c], R rows of a, `stride` apart, in the warp's own memory and row in a tile.
template <int R, typename T>
__device__ void dot_each(const Accumulator<T>* a, int stride, const T* row, int n, Accumulator<T> (&sums)[R]) {
  constexpr int N = Pack<T>::size;
  for (auto& sum : sums) sum = 0;
  int c = 0;
#pragma unroll 1
  for (; c + N <= n; c += N) {
    const auto y = Columns<T, N>::load(row + c);
    for (int r = 0; r < R; ++r) {
      const auto x = Columns<Accumulator<T>, N>::load(a + r * stride + c);
      for (int i = 0; i < N; ++i) sums[r] += x.value[i] * y.value[i];
    }
  }
#pragma unroll 1
  for (; c < n; ++c) {
    for (int r = 0; r < R; ++r) sums[r] += a[r * stride + c] * wide(row[c]);
  }
}

/// 0, or NaN where one of the row's elements first, first + step, … below n is not finite.
template <typename T>
__device__ Accumulator<T> zero_of(const T* row, int first, int n, int step) {
  Accumulator<T> zero = 0;
#pragma unroll 1
  for (int c = first; c < n; c += step) zero += 0 * wide(row[c]);
  return zero;
}

/// Rows [from, to) of a tile.
struct RowRange {
  int from, to;
};

/// sum[r, c] = fade[r]·sum[r, c] + Σ_j weight[r, j]·tile[j, c] over the tile's rows seen[r], the lane's share of the
/// channels. `seen` never begins or ends sooner than for the r before, so that all see the rows from the last's first to the
/// first's last: those are read once. A last channel without a neighbour takes along what fills its row, into what fills the
/// sum.
template <int R, typename T>
__device__ void add_rows(const Accumulator<T>* weight, int weight_stride, const T* tile, const RowRange (&seen)[R],
                         int width, const Accumulator<T> (&fade)[R], Accumulator<T>* sum, int stride) {
  using A = Accumulator<T>;
  constexpr int N = 2, J = Pack<A>::size;
  const int pitch = pitch_of<T>(width);
  const RowRange common = {seen[R - 1].from, seen[0].to};
#pragma unroll 1
  for (int c = N * lane_index(); c < width; c += N * warp_threads) {
    Columns<A, N> part[R];
    for (int r = 0; r < R; ++r) {
      part[r] = Columns<A, N>::load(sum + r * stride + c);
      for (A& value : part[r].value) value *= fade[r];
    }
    const auto add = [&](int r, int j) {
      const auto row = Columns<T, N>::load(tile + j * pitch + c);
      for (int i = 0; i < N; ++i) part[r].value[i] += weight[r * weight_stride + j] * row.value[i];
    };
    const auto add_all = [&](int j) {
      for (int r = 0; r < R; ++r) add(r, j);
    };
    for (int r = 0; r < R; ++r) {
#pragma unroll 1
      for (int j = seen[r].from; j < common.from; ++j) add(r, j);
    }
    int j = common.from;  // which is no multiple of J where queries see the keys of a warp
#pragma unroll 1
    for (; j < common.to && j % J != 0; ++j) add_all(j);
#pragma unroll 1
    for (; j + J <= common.to; j += J) {
      Columns<A, J> weights[R];
      for (int r = 0; r < R; ++r) weights[r] = Columns<A, J>::load(weight + r * weight_stride + j);
      for (int i = 0; i < J; ++i) {
        const auto row = Columns<T, N>::load(tile + (j + i) * pitch + c);
        for (int r = 0; r < R; ++r) {
          for (int n = 0; n < N; ++n) part[r].value[n] += weights[r].value[i] * row.value[n];
        }
      }
    }
#pragma unroll 1
    for (; j < common.to; ++j) add_all(j);
    for (int r = 0; r < R; ++r) {
#pragma unroll 1
      for (int j = common.to; j < seen[r].to; ++j) add(r, j);
    }
    for (int r = 0; r < R; ++r) part[r].store(sum + r * stride + c);
  }
}

}  // namespace folio::FOLIO_CUDA
