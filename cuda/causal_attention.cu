// y_t = Σ_s p_ts·v_s, p_t = softmax over s ≤ t + offset of scale·q_t·key_s, key = [k | shared], by tiles of keys with a
// running maximum and sum (Dao et al. 2022): memory is linear in the length. Operations bind, in float32 at least and
// without tensor cores; they are counted for T = S, where a query sees half of the keys.
#include <limits>

#include "cuda/attention_tiles.hpp"

namespace folio::FOLIO_CUDA {
namespace {

/// Blocks of a multiprocessor: four would leave 64 registers to a thread, three leave 80, too few for most kernels of
/// float64 and of several rows a warp.
template <typename T, int R>
constexpr int resident = sizeof(T) == 8 || R > 1 ? 2 : 3;

template <typename A>
constexpr A lowest = std::numeric_limits<A>::lowest();

/// Queries or keys that one warp serves, where there are many.
template <typename T>
constexpr int many = sizeof(T) == 8 ? 2 : 4;

// ── A warp's own memory for each row that it serves, in elements ─────────────────────────────────────────────────────
template <typename A>
__host__ __device__ int forward_memory(const Attention& a) {
  return padded<A>(a.width()) + padded<A>(a.out) + padded<A>(a.tile);
}
template <typename A>
__host__ __device__ int dq_memory(const Attention& a) {
  return 2 * padded<A>(a.width()) + padded<A>(a.out) + padded<A>(a.tile);
}
template <typename A>
__host__ __device__ int dkv_memory(const Attention& a) {
  return 2 * (padded<A>(a.width()) + padded<A>(a.out) + padded<A>(a.tile));
}

/// What a warp's R queries, from `first` on, see of a tile that holds the keys [begin, begin + rows): each at most one key
/// more than the one before it. Those beyond the last query repeat it.
template <int R>
__device__ void find_seen_keys(const Attention& a, std::int64_t first, std::int64_t begin, int rows,
                               RowRange (&seen)[R]) {
#pragma unroll
  for (int r = 0; r < R; ++r) {
    const std::int64_t sees = min(min(first + r, a.queries - 1) + a.offset + 1, a.keys);
    seen[r] = {0, static_cast<int>(max(min(sees - begin, std::int64_t{rows}), std::int64_t{0}))};
  }
}

/// A sum as it is, which map_row rounds. Every block has a tile, whose last barrier stands between the sum and the lanes
/// that store it.
struct Same {
  template <typename A>
  __device__ A operator()(std::int64_t, A value) const {
    return value;
  }
};

// ── Forward ──────────────────────────────────────────────────────────────────────────────────────────────────────────
/// Reads q, k and v and writes y, B·H·T·(2·width + 2·out)·sizeof(T) bytes; later blocks of queries find k and v in the
/// second-level cache. The floor is that of B·H·T²·(width + out) operations.
template <typename T, int R>
__global__ void __launch_bounds__(block_threads, resident<T, R>)
    attention_kernel(const T* q, const T* k, const T* v, const T* shared, Attention a, T* y, Accumulator<T>* log_sum) {
  using A = Accumulator<T>;
  DYN_SHARED(T, memory);
  const int lane = lane_index(), warp = static_cast<int>(threadIdx.x) / warp_threads;
  const int rows_of_block = static_cast<int>(blockDim.x) / warp_threads * R, width = a.width();
  const int wide_pitch = padded<A>(width), out_pitch = padded<A>(a.out), tile_pitch = padded<A>(a.tile);
  T* const keys = memory;                                                       // (tile, width)
  T* const values = keys + a.tile * pitch_of<T>(width);                         // (tile, out)
  A* const query = own_memory<T>(memory, a) + warp * R * forward_memory<A>(a);  // (R, width)
  A* const sum = query + R * wide_pitch;                                        // (R, out): Σ weight·v so far
  A* const weight = sum + R * out_pitch;                                        // (R, tile): of the tile's keys
  const unsigned head = blockIdx.x / a.blocks;
  const std::int64_t b = head / a.heads, h = head % a.heads;
  const std::int64_t first = std::int64_t{a.blocks - 1 - blockIdx.x % a.blocks} * rows_of_block,
                     t = first + warp * R;  // the longest rows first
  const bool active = t < a.queries;
  const std::int64_t last = first + rows_of_block < a.queries ? first + rows_of_block : a.queries;
  const std::int64_t block_sees = min(last + a.offset, a.keys);

  A top[R], total[R], fade[R];
#pragma unroll
  for (int r = 0; r < R; ++r) {
    if (active) load_own(q + a.q.at(b, min(t + r, a.queries - 1), h), width, query + r * wide_pitch);
    clear_own(a.out, sum + r * out_pitch);
    top[r] = lowest<A>, total[r] = 0;  // finite: beside scores of −∞ alone, −∞ − −∞ would be NaN for good
  }
  for (std::int64_t begin = 0; begin < block_sees; begin += a.tile) {
    const int rows = static_cast<int>(min(block_sees - begin, std::int64_t{a.tile}));
    load_keys(a, k, shared, b, h, begin, rows, keys);
    load_tile(v, a.v, b, h, begin, rows, a.out, values);
    __syncthreads();
    RowRange seen[R];
    find_seen_keys(a, t, begin, rows, seen);
    if (active && seen[R - 1].to > 0) {
      const T* const key = keys + lane * pitch_of<T>(width);
      A scores[R] = {};  // of lanes beyond the tile's keys too, which no sum takes
      if (lane < seen[R - 1].to) dot_each<R>(query, wide_pitch, key, width, scores);
#pragma unroll
      for (int r = 0; r < R; ++r) {
        A score = static_cast<A>(-INFINITY);
        if (lane < seen[r].to) {
          score = scores[r] * static_cast<A>(a.scale);
          if (score < lowest<A>) score += zero_of(key, 0, width, 1);  // of an infinite key NaN, not weight 0
        }
        const A highest = fmax(top[r], warp_max(score));
        const A mine = lane < seen[r].to ? exp(score - highest) : A{0};
        fade[r] = exp(top[r] - highest);
        total[r] = total[r] * fade[r] + warp_sum(mine);
        top[r] = highest;
        if (lane < seen[r].to) weight[r * tile_pitch + lane] = mine;
      }
      __syncwarp();
      add_rows<R>(weight, tile_pitch, values, seen, a.out, fade, sum, out_pitch);
    }
    __syncthreads();
  }
  if (!active) return;
#pragma unroll
  for (int r = 0; r < R; ++r) {
    if (t + r >= a.queries) return;
    const A* const mine = sum + r * out_pitch;
    total[r] +=
        warp_sum(zero_of(mine, lane, a.out, warp_threads));  // an infinite value leaves no answer in any channel
    if (lane == 0) log_sum[head * a.queries + t + r] = top[r] + log(total[r]);
    const A share = A{1} / total[r];
    map_row(
        a.out, [&](std::int64_t, A value) { return value * share; },
        y + ((b * a.queries + t + r) * a.heads + h) * a.out, mine);
  }
}

// ── Backward ─────────────────────────────────────────────────────────────────────────────────────────────────────────
/// along[b, h, t] = dy_t·y_t, one warp each. Reads dy and y, 2·B·H·T·out·sizeof(T) bytes.
template <typename T>
__global__ void __launch_bounds__(block_threads)
    attention_along(const T* dy, const T* y, Attention a, Accumulator<T>* along) {
  using A = Accumulator<T>;
  const std::int64_t i = warp_index();
  if (i >= a.batch * a.heads * a.queries) return;
  const std::int64_t t = i % a.queries, h = i / a.queries % a.heads, b = i / a.queries / a.heads;
  A total = 0;
  each_of_row(
      a.out, [&](std::int64_t, A upstream, A value) { total += upstream * value; }, dy + a.dy.at(b, t, h),
      y + a.y.at(b, t, h));
  total = warp_sum(total);
  if (lane_index() == 0) along[i] = total;
}

/// dq_t = Σ_s ds_ts·key_s, ds_ts = p_ts·(dy_t·v_s − along_t)·scale. Reads q, k, v and dy and writes dq,
/// B·H·T·(3·width + 2·out)·sizeof(T) bytes, k and v as forward does. The floor is that of B·H·T²·(2·width + out)
/// operations.
template <typename T, int R>
__global__ void __launch_bounds__(block_threads, resident<T, R>)
    attention_dq(const T* dy, const T* q, const T* k, const T* v, const T* shared, const Accumulator<T>* log_sum,
                 const Accumulator<T>* along, Attention a, T* dq) {
  using A = Accumulator<T>;
  DYN_SHARED(T, memory);
  const int lane = lane_index(), warp = static_cast<int>(threadIdx.x) / warp_threads;
  const int rows_of_block = static_cast<int>(blockDim.x) / warp_threads * R, width = a.width();
  const int wide_pitch = padded<A>(width), out_pitch = padded<A>(a.out), tile_pitch = padded<A>(a.tile);
  T* const keys = memory;
  T* const values = keys + a.tile * pitch_of<T>(width);
  A* const query = own_memory<T>(memory, a) + warp * R * dq_memory<A>(a);  // (R, width)
  A* const gradient = query + R * wide_pitch;                              // (R, out): dy_t
  A* const sum = gradient + R * out_pitch;                                 // (R, width): dq_t so far
  A* const weight = sum + R * wide_pitch;                                  // (R, tile): ds of the tile's keys
  const unsigned head = blockIdx.x / a.blocks;
  const std::int64_t b = head / a.heads, h = head % a.heads;
  const std::int64_t first = std::int64_t{a.blocks - 1 - blockIdx.x % a.blocks} * rows_of_block, t = first + warp * R;
  const bool active = t < a.queries;
  const std::int64_t last = first + rows_of_block < a.queries ? first + rows_of_block : a.queries;
  const std::int64_t block_sees = min(last + a.offset, a.keys);

  A log_total[R] = {}, mean[R] = {}, fade[R];
#pragma unroll
  for (int r = 0; r < R; ++r) {
    fade[r] = 1;
    clear_own(width, sum + r * wide_pitch);
    if (!active) continue;
    const std::int64_t row = min(t + r, a.queries - 1);
    log_total[r] = log_sum[head * a.queries + row], mean[r] = along[head * a.queries + row];
    load_own(q + a.q.at(b, row, h), width, query + r * wide_pitch);
    load_own(dy + a.dy.at(b, row, h), a.out, gradient + r * out_pitch);
  }
  for (std::int64_t begin = 0; begin < block_sees; begin += a.tile) {
    const int rows = static_cast<int>(min(block_sees - begin, std::int64_t{a.tile}));
    load_keys(a, k, shared, b, h, begin, rows, keys);
    load_tile(v, a.v, b, h, begin, rows, a.out, values);
    __syncthreads();
    RowRange seen[R];
    find_seen_keys(a, t, begin, rows, seen);
    if (active && seen[R - 1].to > 0) {
      if (lane < seen[R - 1].to) {
        const A scale = static_cast<A>(a.scale);
        A scores[R], upstream[R];
        dot_each<R>(query, wide_pitch, keys + lane * pitch_of<T>(width), width, scores);
        dot_each<R>(gradient, out_pitch, values + lane * pitch_of<T>(a.out), a.out, upstream);
#pragma unroll
        for (int r = 0; r < R; ++r) {  // of a key that row r does not see too, which its sum leaves out
          const A p = exp(scores[r] * scale - log_total[r]);
          weight[r * tile_pitch + lane] = p * (upstream[r] - mean[r]) * scale;
        }
      }
      __syncwarp();
      add_rows<R>(weight, tile_pitch, keys, seen, width, fade, sum, wide_pitch);
    }
    __syncthreads();
  }
  if (!active) return;
#pragma unroll 1
  for (int r = 0; r < R && t + r < a.queries; ++r) {
    map_row(width, Same(), dq + ((b * a.queries + t + r) * a.heads + h) * width, sum + r * wide_pitch);
  }
}

/// dv_s = Σ_t p_ts·dy_t and dkey_s = Σ_t ds_ts·q_t: over tiles of queries. Each head's part of the shared key's gradient
/// goes to dshared (B, S, H, shared), which is not rounded. Null pointers are left out. Reads q, k, v and dy and writes dk,
/// dv and dshared, B·H·T·(3·width + 3·out)·sizeof(T) bytes, and twice as much for dshared in 16 bits; later blocks of keys
/// find q and dy in the second-level cache. The floor is that of B·H·T²·(2·width + 2·out) operations.
template <typename T, int R>
__global__ void __launch_bounds__(block_threads, resident<T, R>)
    attention_dkv(const T* dy, const T* q, const T* k, const T* v, const T* shared, const Accumulator<T>* log_sum,
                  const Accumulator<T>* along, Attention a, T* dk, T* dv, Accumulator<T>* dshared) {
  using A = Accumulator<T>;
  DYN_SHARED(T, memory);
  const int lane = lane_index(), warp = static_cast<int>(threadIdx.x) / warp_threads;
  const int rows_of_block = static_cast<int>(blockDim.x) / warp_threads * R, width = a.width();
  const int wide_pitch = padded<A>(width), out_pitch = padded<A>(a.out), tile_pitch = padded<A>(a.tile);
  T* const queries = memory;                                              // (tile, width)
  T* const gradients = queries + a.tile * pitch_of<T>(width);             // (tile, out): dy
  A* const key = own_memory<T>(memory, a) + warp * R * dkv_memory<A>(a);  // (R, width)
  A* const value = key + R * wide_pitch;                                  // (R, out)
  A* const key_sum = value + R * out_pitch;
  A* const value_sum = key_sum + R * wide_pitch;
  A* const p = value_sum + R * out_pitch;  // (R, tile): of the tile's queries
  A* const ds = p + R * tile_pitch;
  const unsigned head = blockIdx.x / a.blocks;
  const std::int64_t b = head / a.heads, h = head % a.heads;
  const std::int64_t first = std::int64_t{blockIdx.x % a.blocks} * rows_of_block, s = first + warp * R;
  const bool active = s < a.keys;

  A fade[R];
#pragma unroll
  for (int r = 0; r < R; ++r) {
    fade[r] = 1;
    clear_own(width, key_sum + r * wide_pitch);
    clear_own(a.out, value_sum + r * out_pitch);
    if (!active) continue;
    const std::int64_t row = min(s + r, a.keys - 1);
    load_own(k + a.k.at(b, row, h), a.own, key + r * wide_pitch);
    load_own(shared + b * a.shared_batch + row * a.shared_time, a.shared, key + r * wide_pitch + a.own);
    load_own(v + a.v.at(b, row, h), a.out, value + r * out_pitch);
  }
  for (std::int64_t begin = max(first - a.offset, std::int64_t{0}); begin < a.queries; begin += a.tile) {
    const int rows = static_cast<int>(min(a.queries - begin, std::int64_t{a.tile}));
    load_tile(q, a.q, b, h, begin, rows, width, queries);
    load_tile(dy, a.dy, b, h, begin, rows, a.out, gradients);
    __syncthreads();
    RowRange seen[R];  // by each key: from the first query that sees it
#pragma unroll
    for (int r = 0; r < R; ++r) {
      const std::int64_t from = max(min(s + r, a.keys - 1) - a.offset - begin, std::int64_t{0});
      seen[r] = {static_cast<int>(min(from, std::int64_t{rows})), rows};
    }
    if (active && seen[0].from < rows) {
      if (lane >= seen[0].from && lane < rows) {
        const std::int64_t t = head * a.queries + begin + lane;
        const A scale = static_cast<A>(a.scale), log_total = log_sum[t], mean = along[t];
        A scores[R], upstream[R];
        dot_each<R>(key, wide_pitch, queries + lane * pitch_of<T>(width), width, scores);
        dot_each<R>(value, out_pitch, gradients + lane * pitch_of<T>(a.out), a.out, upstream);
#pragma unroll
        for (int r = 0; r < R; ++r) {  // of a query that does not see key r too, which its sums leave out
          const A mine = exp(scores[r] * scale - log_total);
          p[r * tile_pitch + lane] = mine;
          ds[r * tile_pitch + lane] = mine * (upstream[r] - mean) * scale;
        }
      }
      __syncwarp();
      add_rows<R>(ds, tile_pitch, queries, seen, width, fade, key_sum, wide_pitch);
      add_rows<R>(p, tile_pitch, gradients, seen, a.out, fade, value_sum, out_pitch);
    }
    __syncthreads();
  }
  if (!active) return;
#pragma unroll 1
  for (int r = 0; r < R && s + r < a.keys; ++r) {
    const std::int64_t row = (b * a.keys + s + r) * a.heads + h;
    if (dk != nullptr) map_row(a.own, Same(), dk + row * a.own, key_sum + r * wide_pitch);
    if (dshared != nullptr) map_row(a.shared, Same(), dshared + row * a.shared, key_sum + r * wide_pitch + a.own);
    if (dv != nullptr) map_row(a.out, Same(), dv + row * a.out, value_sum + r * out_pitch);
  }
}

// ── Launches ─────────────────────────────────────────────────────────────────────────────────────────────────────────
Attention describe_attention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& shared, double scale,
                             std::int64_t offset) {
  Attention a = {};
  a.batch = q.dim(0), a.queries = q.dim(1), a.heads = static_cast<unsigned>(q.dim(2)), a.keys = k.dim(1),
  a.offset = offset, a.scale = scale;
  a.own = static_cast<int>(k.dim(3)), a.out = static_cast<int>(v.dim(3));
  a.q = head_strides(q), a.k = head_strides(k), a.v = head_strides(v);
  if (!shared.defined()) return a;
  a.shared = static_cast<int>(shared.dim(2));
  a.shared_batch = shared.strides()[0], a.shared_time = shared.strides()[1];
  return a;
}

/// One query per sequence of heads with keys and values in common, as MLA's have its latents when it decodes: they are
/// queries of one head, which share its tiles. The offset lets the first see every key, and so all.
bool take_heads_as_queries(Attention& a) {
  if (a.queries != 1 || a.k.head != 0 || a.v.head != 0) return false;
  a.queries = a.heads, a.heads = 1;
  a.q.time = a.q.head;
  return true;
}

/// How a kernel is launched: R rows of a head to a warp, which all blocks of `threads` take together.
struct Size {
  int rows_per_warp = 1, threads = 0;
  std::size_t bytes = 0;
};

/// The largest tile and number of warps, of `per_row` elements of Accumulator<T> for each row of theirs besides the tile,
/// that fit into 48 KiB. A warp takes several rows, up to `most`, where that leaves whole tiles and rows enough for the other
/// warps; it does not where heads are so wide that four warps' rows leave no room.
template <typename T, typename F>
Size fit(Attention& a, std::int64_t rows, F&& per_row, int most = many<T>) {
  constexpr std::size_t limit = 48 * 1024;
  constexpr std::int64_t least_warps = 4;  // which load a tile, also where they have no row
  for (const int several : {most, 1}) {
    if (several > 1 && rows < least_warps * several) continue;
    for (const int tile : {32, 16, 8, 4, 2, 1}) {
      if (several > 1 && tile < 32) break;
      a.tile = tile;
      for (int warps = 8; warps >= (tile > 8 ? 4 : 1); warps /= 2) {
        const std::int64_t used = std::min<std::int64_t>(warps, std::max(blocks_for(rows, several), least_warps));
        const std::size_t bytes = static_cast<std::size_t>(a.tile_elements<T>()) * sizeof(T) +
                                  static_cast<std::size_t>(used * several * per_row(a)) * sizeof(Accumulator<T>);
        if (bytes <= limit) return {several, static_cast<int>(used) * warp_threads, bytes};
      }
    }
  }
  throw Error("causal_attention: heads of " + std::to_string(a.width()) + " and " + std::to_string(a.out) +
              " channels do not fit into a GPU block's shared memory: use narrower heads");
}

/// Blocks that take `rows` of all heads.
std::int64_t cut(Attention& a, std::int64_t rows, const Size& size) {
  a.blocks = static_cast<unsigned>(blocks_for(rows, size.threads / warp_threads * size.rows_per_warp));
  return a.batch * a.heads * a.blocks;
}

}  // namespace

void entry::causal_attention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& shared_key, double scale,
                             std::int64_t offset, Tensor& y, Tensor& log_sum) {
  Attention a = describe_attention(q, k, v, shared_key, scale, offset);
  const bool decodes = take_heads_as_queries(a);  // few rows, whose sums should take as many warps
  visit_stored(q.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const Size size = fit<T>(a, a.queries, forward_memory<Accumulator<T>>, decodes ? 1 : many<T>);
    const std::int64_t blocks = cut(a, a.queries, size);
    launch(size.rows_per_warp > 1 ? attention_kernel<T, many<T>> : attention_kernel<T, 1>, blocks, size.threads,
           size.bytes, stream(), pointer<T>(q), pointer<T>(k), pointer<T>(v), pointer<T>(shared_key), a, y.ptr<T>(),
           log_sum.ptr<Accumulator<T>>());
  });
}

void entry::causal_attention_backward(const Tensor& dy, const Tensor& q, const Tensor& k, const Tensor& v,
                                      const Tensor& shared_key, const Tensor& y, const Tensor& log_sum, double scale,
                                      std::int64_t offset, Tensor& dq, Tensor& dk, Tensor& dv, Tensor& dshared) {
  Attention a = describe_attention(q, k, v, shared_key, scale, offset);
  if (a.queries == 0) {  // no query sees a key
    for (Tensor* gradient : {&dk, &dv, &dshared}) {
      if (gradient->defined()) entry::fill(0, *gradient);
    }
    return;
  }
  a.dy = head_strides(dy), a.y = head_strides(y);
  const Tensor along = empty({a.batch, a.heads, a.queries}, log_sum.options());
  const Tensor parts = dshared.defined() ? empty({a.batch, a.keys, a.heads, a.shared}, log_sum.options()) : Tensor();
  visit_stored(q.dtype(), [&](auto tag) {
    using T = decltype(tag);
    using A = Accumulator<T>;
    launch(attention_along<T>, blocks_for_rows(along.numel()), threads_for_rows(along.numel()), 0, stream(),
           pointer<T>(dy), pointer<T>(y), a, pointer<A>(along));
    if (dq.defined()) {
      const Size size = fit<T>(a, a.queries, dq_memory<A>);
      const std::int64_t blocks = cut(a, a.queries, size);
      launch(size.rows_per_warp > 1 ? attention_dq<T, many<T>> : attention_dq<T, 1>, blocks, size.threads, size.bytes,
             stream(), pointer<T>(dy), pointer<T>(q), pointer<T>(k), pointer<T>(v), pointer<T>(shared_key),
             pointer<A>(log_sum), pointer<A>(along), a, dq.ptr<T>());
    }
    if (dk.defined() || dv.defined() || dshared.defined()) {
      const Size size = fit<T>(a, a.keys, dkv_memory<A>);
      const std::int64_t blocks = cut(a, a.keys, size);
      launch(size.rows_per_warp > 1 ? attention_dkv<T, many<T>> : attention_dkv<T, 1>, blocks, size.threads, size.bytes,
             stream(), pointer<T>(dy), pointer<T>(q), pointer<T>(k), pointer<T>(v), pointer<T>(shared_key),
             pointer<A>(log_sum), pointer<A>(along), a, pointer<T>(dk), pointer<T>(dv), pointer<A>(parts));
    }
  });
  if (dshared.defined()) entry::sum(parts, a.batch * a.keys, a.heads, a.shared, dshared);
}

}  // namespace folio::FOLIO_CUDA
