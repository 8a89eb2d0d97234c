// y_t = Σ_s p_ts·v_s, p_t = softmax over s ≤ t + offset of scale·q_t·key_s, key = [k | shared], by tiles of keys with a
// running maximum and sum (Dao et al. 2022): memory is linear in the length. Operations bind, in float32 at least and
// without tensor cores; they are counted for T = S, where a query sees half of the keys.
#include <limits>

#include "cuda/attention_tiles.hpp"

namespace folio::FOLIO_CUDA {
namespace {

/// Blocks of a multiprocessor: four would leave 64 registers to a thread, three leave 80, too few for float64.
template <typename T>
constexpr int resident = sizeof(T) == 8 ? 2 : 3;

template <typename A>
constexpr A lowest = std::numeric_limits<A>::lowest();

// ── A warp's own memory, in elements ─────────────────────────────────────────────────────────────────────────────────
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

/// A sum as it is, which map_row rounds. Every block has a tile, whose last barrier stands between the sum and the lanes
/// that store it.
struct Same {
  template <typename A>
  __device__ A operator()(std::int64_t, A value) const {
    return value;
  }
};

// ── Forward: one warp per query ──────────────────────────────────────────────────────────────────────────────────────
/// Reads q, k and v and writes y, B·H·T·(2·width + 2·out)·sizeof(T) bytes; later blocks of queries find k and v in the
/// second-level cache. The floor is that of B·H·T²·(width + out) operations.
template <typename T>
__global__ void __launch_bounds__(block_threads, resident<T>)
    attention_kernel(const T* q, const T* k, const T* v, const T* shared, Attention a, T* y, Accumulator<T>* log_sum) {
  using A = Accumulator<T>;
  DYN_SHARED(T, memory);
  const int lane = lane_index(), warp = static_cast<int>(threadIdx.x) / warp_threads;
  const int warps = static_cast<int>(blockDim.x) / warp_threads, width = a.width();
  T* const keys = memory;                                // (tile, width)
  T* const values = keys + a.tile * pitch_of<T>(width);  // (tile, out)
  A* const query = own_memory<T>(memory, a) + warp * forward_memory<A>(a);
  A* const sum = query + padded<A>(width);   // Σ weight·v so far
  A* const weight = sum + padded<A>(a.out);  // of the tile's keys
  const unsigned head = blockIdx.x / a.blocks;
  const std::int64_t b = head / a.heads, h = head % a.heads;
  const std::int64_t first = std::int64_t{a.blocks - 1 - blockIdx.x % a.blocks} * warps,
                     t = first + warp;  // the longest rows first
  const bool active = t < a.queries;
  const std::int64_t last = first + warps < a.queries ? first + warps : a.queries;
  const std::int64_t block_sees = min(last + a.offset, a.keys);
  const std::int64_t sees = active ? min(t + a.offset + 1, a.keys) : 0;

  if (active) load_own(q + a.q.at(b, t, h), width, query);
  clear_own(a.out, sum);
  A top = lowest<A>, total = 0;  // finite: beside scores of −∞ alone, −∞ − −∞ would be NaN for good
  for (std::int64_t begin = 0; begin < block_sees; begin += a.tile) {
    const int rows = static_cast<int>(min(block_sees - begin, std::int64_t{a.tile}));
    load_keys(a, k, shared, b, h, begin, rows, keys);
    load_tile(v, a.v, b, h, begin, rows, a.out, values);
    __syncthreads();
    const int seen = static_cast<int>(min(sees - begin, std::int64_t{rows}));
    if (seen > 0) {
      A score = static_cast<A>(-INFINITY);
      if (lane < seen) {
        const T* const key = keys + lane * pitch_of<T>(width);
        score = dot(query, key, width) * static_cast<A>(a.scale);
        if (score < lowest<A>) score += zero_of(key, 0, width, 1);  // of an infinite key NaN, not weight 0
      }
      const A highest = fmax(top, warp_max(score));
      const A mine = lane < seen ? exp(score - highest) : A{0};
      const A fade = exp(top - highest);
      total = total * fade + warp_sum(mine);
      top = highest;
      if (lane < seen) weight[lane] = mine;
      __syncwarp();
      add_rows(weight, values, 0, seen, a.out, fade, sum);
    }
    __syncthreads();
  }
  if (!active) return;
  total += warp_sum(zero_of(sum, lane, a.out, warp_threads));  // an infinite value leaves no answer in any channel
  if (lane == 0) log_sum[head * a.queries + t] = top + log(total);
  const A share = A{1} / total;
  map_row(
      a.out, [&](std::int64_t, A value) { return value * share; }, y + ((b * a.queries + t) * a.heads + h) * a.out,
      sum);
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

/// dq_t = Σ_s ds_ts·key_s, ds_ts = p_ts·(dy_t·v_s − along_t)·scale: one warp per query. Reads q, k, v and dy and writes
/// dq, B·H·T·(3·width + 2·out)·sizeof(T) bytes, k and v as forward does. The floor is that of B·H·T²·(2·width + out)
/// operations.
template <typename T>
__global__ void __launch_bounds__(block_threads, resident<T>)
    attention_dq(const T* dy, const T* q, const T* k, const T* v, const T* shared, const Accumulator<T>* log_sum,
                 const Accumulator<T>* along, Attention a, T* dq) {
  using A = Accumulator<T>;
  DYN_SHARED(T, memory);
  const int lane = lane_index(), warp = static_cast<int>(threadIdx.x) / warp_threads;
  const int warps = static_cast<int>(blockDim.x) / warp_threads, width = a.width();
  T* const keys = memory;
  T* const values = keys + a.tile * pitch_of<T>(width);
  A* const query = own_memory<T>(memory, a) + warp * dq_memory<A>(a);
  A* const gradient = query + padded<A>(width);  // dy_t
  A* const sum = gradient + padded<A>(a.out);    // dq_t so far
  A* const weight = sum + padded<A>(width);      // ds of the tile's keys
  const unsigned head = blockIdx.x / a.blocks;
  const std::int64_t b = head / a.heads, h = head % a.heads;
  const std::int64_t first = std::int64_t{a.blocks - 1 - blockIdx.x % a.blocks} * warps, t = first + warp;
  const bool active = t < a.queries;
  const std::int64_t last = first + warps < a.queries ? first + warps : a.queries;
  const std::int64_t block_sees = min(last + a.offset, a.keys);
  const std::int64_t sees = active ? min(t + a.offset + 1, a.keys) : 0;
  const A log_total = active ? log_sum[head * a.queries + t] : A{0}, mean = active ? along[head * a.queries + t] : A{0};

  if (active) {
    load_own(q + a.q.at(b, t, h), width, query);
    load_own(dy + a.dy.at(b, t, h), a.out, gradient);
  }
  clear_own(width, sum);
  for (std::int64_t begin = 0; begin < block_sees; begin += a.tile) {
    const int rows = static_cast<int>(min(block_sees - begin, std::int64_t{a.tile}));
    load_keys(a, k, shared, b, h, begin, rows, keys);
    load_tile(v, a.v, b, h, begin, rows, a.out, values);
    __syncthreads();
    const int seen = static_cast<int>(min(sees - begin, std::int64_t{rows}));
    if (seen > 0) {
      if (lane < seen) {
        const A scale = static_cast<A>(a.scale);
        const A p = exp(dot(query, keys + lane * pitch_of<T>(width), width) * scale - log_total);
        weight[lane] = p * (dot(gradient, values + lane * pitch_of<T>(a.out), a.out) - mean) * scale;
      }
      __syncwarp();
      add_rows(weight, keys, 0, seen, width, A{1}, sum);
    }
    __syncthreads();
  }
  if (!active) return;
  map_row(width, Same(), dq + ((b * a.queries + t) * a.heads + h) * width, sum);
}

/// dv_s = Σ_t p_ts·dy_t and dkey_s = Σ_t ds_ts·q_t: one warp per key, over tiles of queries. Each head's part of the
/// shared key's gradient goes to dshared (B, S, H, shared), which is not rounded. Null pointers are left out. Reads q,
/// k, v and dy and writes dk, dv and dshared, B·H·T·(3·width + 3·out)·sizeof(T) bytes, and twice as much for dshared in
/// 16 bits; later blocks of keys find q and dy in the second-level cache. The floor is that of B·H·T²·(2·width + 2·out)
/// operations.
template <typename T>
__global__ void __launch_bounds__(block_threads, resident<T>)
    attention_dkv(const T* dy, const T* q, const T* k, const T* v, const T* shared, const Accumulator<T>* log_sum,
                  const Accumulator<T>* along, Attention a, T* dk, T* dv, Accumulator<T>* dshared) {
  using A = Accumulator<T>;
  DYN_SHARED(T, memory);
  const int lane = lane_index(), warp = static_cast<int>(threadIdx.x) / warp_threads;
  const int warps = static_cast<int>(blockDim.x) / warp_threads, width = a.width();
  T* const queries = memory;                                   // (tile, width)
  T* const gradients = queries + a.tile * pitch_of<T>(width);  // (tile, out): dy
  A* const key = own_memory<T>(memory, a) + warp * dkv_memory<A>(a);
  A* const value = key + padded<A>(width);
  A* const key_sum = value + padded<A>(a.out);
  A* const value_sum = key_sum + padded<A>(width);
  A* const p = value_sum + padded<A>(a.out);  // of the tile's queries
  A* const ds = p + padded<A>(a.tile);
  const unsigned head = blockIdx.x / a.blocks;
  const std::int64_t b = head / a.heads, h = head % a.heads;
  const std::int64_t first = std::int64_t{blockIdx.x % a.blocks} * warps, s = first + warp;
  const bool active = s < a.keys;

  if (active) {
    load_own(k + a.k.at(b, s, h), a.own, key);
    load_own(shared + b * a.shared_batch + s * a.shared_time, a.shared, key + a.own);
    load_own(v + a.v.at(b, s, h), a.out, value);
  }
  clear_own(width, key_sum);
  clear_own(a.out, value_sum);
  for (std::int64_t begin = max(first - a.offset, std::int64_t{0}); begin < a.queries; begin += a.tile) {
    const int rows = static_cast<int>(min(a.queries - begin, std::int64_t{a.tile}));
    load_tile(q, a.q, b, h, begin, rows, width, queries);
    load_tile(dy, a.dy, b, h, begin, rows, a.out, gradients);
    __syncthreads();
    const int from =
        static_cast<int>(max(s - a.offset - begin, std::int64_t{0}));  // the first query that sees this key
    if (active && from < rows) {
      if (lane >= from && lane < rows) {
        const std::int64_t t = head * a.queries + begin + lane;
        const A scale = static_cast<A>(a.scale);
        p[lane] = exp(dot(key, queries + lane * pitch_of<T>(width), width) * scale - log_sum[t]);
        ds[lane] = p[lane] * (dot(value, gradients + lane * pitch_of<T>(a.out), a.out) - along[t]) * scale;
      }
      __syncwarp();
      add_rows(ds, queries, from, rows, width, A{1}, key_sum);
      add_rows(p, gradients, from, rows, a.out, A{1}, value_sum);
    }
    __syncthreads();
  }
  if (!active) return;
  const std::int64_t row = (b * a.keys + s) * a.heads + h;
  if (dk != nullptr) map_row(a.own, Same(), dk + row * a.own, key_sum);
  if (dshared != nullptr) map_row(a.shared, Same(), dshared + row * a.shared, key_sum + a.own);
  if (dv != nullptr) map_row(a.out, Same(), dv + row * a.out, value_sum);
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
void take_heads_as_queries(Attention& a) {
  if (a.queries != 1 || a.k.head != 0 || a.v.head != 0) return;
  a.queries = a.heads, a.heads = 1;
  a.q.time = a.q.head;
}

struct Size {
  int threads = 0;
  std::size_t bytes = 0;
};

/// The largest tile and number of warps, of `per_warp` elements of Accumulator<T> each besides the tile, that fit into
/// 48 KiB.
template <typename T, typename F>
Size fit(Attention& a, std::int64_t rows, F&& per_warp) {
  constexpr std::size_t limit = 48 * 1024;
  constexpr std::int64_t least_warps = 4;  // which load a tile, also where they have no row
  for (const int tile : {32, 16, 8, 4, 2, 1}) {
    a.tile = tile;
    for (int warps = 8; warps >= (tile > 8 ? 4 : 1); warps /= 2) {
      const auto used = static_cast<int>(std::min<std::int64_t>(warps, std::max<std::int64_t>(rows, least_warps)));
      const std::size_t bytes = static_cast<std::size_t>(a.tile_elements<T>()) * sizeof(T) +
                                static_cast<std::size_t>(used * per_warp(a)) * sizeof(Accumulator<T>);
      if (bytes <= limit) return {used * warp_threads, bytes};
    }
  }
  throw Error("causal_attention: heads of " + std::to_string(a.width()) + " and " + std::to_string(a.out) +
              " channels do not fit into a GPU block's shared memory: use narrower heads");
}

/// Blocks of which each takes a row per warp, of all heads.
std::int64_t cut(Attention& a, std::int64_t rows, const Size& size) {
  a.blocks = static_cast<unsigned>(blocks_for(rows, size.threads / warp_threads));
  return a.batch * a.heads * a.blocks;
}

}  // namespace

void entry::causal_attention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& shared_key, double scale,
                             std::int64_t offset, Tensor& y, Tensor& log_sum) {
  Attention a = describe_attention(q, k, v, shared_key, scale, offset);
  take_heads_as_queries(a);
  visit_stored(q.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const Size size = fit<T>(a, a.queries, forward_memory<Accumulator<T>>);
    const std::int64_t blocks = cut(a, a.queries, size);
    launch(attention_kernel<T>, blocks, size.threads, size.bytes, stream(), pointer<T>(q), pointer<T>(k), pointer<T>(v),
           pointer<T>(shared_key), a, y.ptr<T>(), log_sum.ptr<Accumulator<T>>());
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
      launch(attention_dq<T>, blocks, size.threads, size.bytes, stream(), pointer<T>(dy), pointer<T>(q), pointer<T>(k),
             pointer<T>(v), pointer<T>(shared_key), pointer<A>(log_sum), pointer<A>(along), a, dq.ptr<T>());
    }
    if (dk.defined() || dv.defined() || dshared.defined()) {
      const Size size = fit<T>(a, a.keys, dkv_memory<A>);
      const std::int64_t blocks = cut(a, a.keys, size);
      launch(attention_dkv<T>, blocks, size.threads, size.bytes, stream(), pointer<T>(dy), pointer<T>(q), pointer<T>(k),
             pointer<T>(v), pointer<T>(shared_key), pointer<A>(log_sum), pointer<A>(along), a, pointer<T>(dk),
             pointer<T>(dv), pointer<A>(parts));
    }
  });
  if (dshared.defined()) entry::sum(parts, a.batch * a.keys, a.heads, a.shared, dshared);
}

}  // namespace folio::FOLIO_CUDA
