// Parameter updates and the norms of gradients, all tensors of a dtype in one launch, n elements together. Beside them
// a table of some 60 bytes per tensor is read.
#include <cmath>

#include "cuda/rows.hpp"
#include "cuda/table.hpp"

namespace folio::FOLIO_CUDA {
namespace {

// ── Updates ──────────────────────────────────────────────────────────────────────────────────────────────────────────
constexpr std::int64_t elements_per_block = 4096;

template <typename T>
struct AdamWRow {
  T *p, *m, *v;
  const T* g;
  std::int64_t n, first;
  T decay;
  bool packs;  ///< whether all of them may be read 16 bytes at a time
};
template <typename T>
struct AdamWFactors {
  T beta1, beta2, rest1, rest2, eps, rate, root;
};

template <typename T>
struct SGDRow {
  T *p, *u;
  const T* g;
  std::int64_t n, first;
  T decay;
  bool packs;
};
template <typename T>
struct SGDFactors {
  T momentum, lr;
  bool nesterov;
};

template <int N>
struct Width {
  static constexpr int value = N;
};

/// Calls f(i, Width<V>) for this thread's share of the block's part of a row: V elements from i.
template <typename T, typename Row, typename F>
__device__ void each_pack_of_block(const Row& row, F&& f) {
  constexpr int wide = Pack<T>::size;
  const std::int64_t begin = (blockIdx.x - row.first) * elements_per_block, left = row.n - begin;
  const std::int64_t end = begin + (left < elements_per_block ? left : elements_per_block);
#pragma unroll 2
  for (std::int64_t i = begin + threadIdx.x * wide; i < end; i += blockDim.x * wide) {
    if (row.packs && i + wide <= end) {
      f(i, Width<wide>());
    } else {
#pragma unroll 1
      for (std::int64_t j = i; j < end && j < i + wide; ++j) f(j, Width<1>());
    }
  }
}

/// Reads p, g, m and v and writes p, m and v, 7·n·sizeof(T) bytes.
template <typename T>
__global__ void __launch_bounds__(block_threads)
    adamw_kernel(const AdamWRow<T>* rows, int count, const double* gradient_factor, AdamWFactors<T> s) {
  if (!isfinite(*gradient_factor)) return;
  const T factor = static_cast<T>(*gradient_factor);
  const AdamWRow<T> row = row_of_task(rows, count, blockIdx.x);
  each_pack_of_block<T>(row, [&](std::int64_t i, auto width) {
    constexpr int V = decltype(width)::value;
    Pack<T, V> p = load_pack<T, V>(row.p + i), m = load_pack<T, V>(row.m + i), v = load_pack<T, V>(row.v + i);
    const Pack<T, V> g = load_pack<T, V>(row.g + i);
    for (int j = 0; j < V; ++j) {
      const T gradient = g[j] * factor;
      m[j] = s.beta1 * m[j] + s.rest1 * gradient;
      v[j] = s.beta2 * v[j] + s.rest2 * gradient * gradient;
      p[j] = row.decay * p[j] - s.rate * m[j] / (sqrt(v[j]) * s.root + s.eps);
    }
    store_pack(row.p + i, p);
    store_pack(row.m + i, m);
    store_pack(row.v + i, v);
  });
}

/// Reads p, g and u and writes p and u, 5·n·sizeof(T) bytes.
template <typename T>
__global__ void __launch_bounds__(block_threads)
    sgd_kernel(const SGDRow<T>* rows, int count, const double* gradient_factor, SGDFactors<T> s) {
  if (!isfinite(*gradient_factor)) return;
  const T factor = static_cast<T>(*gradient_factor);
  const SGDRow<T> row = row_of_task(rows, count, blockIdx.x);
  each_pack_of_block<T>(row, [&](std::int64_t i, auto width) {
    constexpr int V = decltype(width)::value;
    Pack<T, V> p = load_pack<T, V>(row.p + i), u = load_pack<T, V>(row.u + i);
    const Pack<T, V> g = load_pack<T, V>(row.g + i);
    for (int j = 0; j < V; ++j) {
      const T gradient = g[j] * factor;
      u[j] = s.momentum * u[j] + gradient;
      p[j] = row.decay * p[j] - s.lr * (s.nesterov ? gradient + s.momentum * u[j] : u[j]);
    }
    store_pack(row.p + i, p);
    store_pack(row.u + i, u);
  });
}

template <typename T>
struct AverageRow {
  T* average;
  const T* x;
  std::int64_t n, first;
  bool packs;
};

/// Reads a and x and writes a, 3·n·sizeof(T) bytes.
template <typename T>
__global__ void __launch_bounds__(block_threads) average_kernel(const AverageRow<T>* rows, int count, T share) {
  const AverageRow<T> row = row_of_task(rows, count, blockIdx.x);
  each_pack_of_block<T>(row, [&](std::int64_t i, auto width) {
    constexpr int V = decltype(width)::value;
    Pack<T, V> average = load_pack<T, V>(row.average + i);
    const Pack<T, V> x = load_pack<T, V>(row.x + i);
    for (int j = 0; j < V; ++j) average[j] += share * (x[j] - average[j]);
    store_pack(row.average + i, average);
  });
}

/// The rows one behind the other, `size` elements a task; returns the number of tasks.
template <typename Row>
std::int64_t number_tasks(std::vector<Row>& rows, std::int64_t size) {
  std::int64_t tasks = 0;
  for (Row& row : rows) {
    row.first = tasks;
    tasks += blocks_for(row.n, size);
  }
  return tasks;
}

// ── Norms ────────────────────────────────────────────────────────────────────────────────────────────────────────────
constexpr std::int64_t least_per_warp = 4096, most_warps = 4096;

template <typename T>
struct NormRow {
  const T* x;
  std::int64_t n, first, place;  ///< place: of its result
};

/// One warp per task of `size` elements: partial[task] = Σ x². Reads n·sizeof(T) bytes and writes 8 per task.
template <typename T>
__global__ void __launch_bounds__(block_threads)
    squared_norm_kernel(const NormRow<T>* rows, int count, std::int64_t tasks, std::int64_t size, double* partial) {
  const std::int64_t task = warp_index();
  if (task >= tasks) return;
  const NormRow<T> row = row_of_task(rows, count, task);
  const std::int64_t begin = (task - row.first) * size, left = row.n - begin;
  double total = 0;
  each_of_row(
      left < size ? left : size,
      [&](std::int64_t, Accumulator<T> value) { total += static_cast<double>(value) * static_cast<double>(value); },
      row.x + begin);
  total = warp_sum(total);
  if (lane_index() == 0) partial[task] = total;
}

/// One warp per row: its partial sums together. Reads 8·tasks bytes, 8·4096 and some: the floor is the launch.
template <typename T>
__global__ void __launch_bounds__(block_threads)
    squared_norm_finish(const NormRow<T>* rows, int count, std::int64_t tasks, const double* partial, double* squares) {
  const std::int64_t r = warp_index();
  if (r >= count) return;
  const std::int64_t end = r + 1 < count ? rows[r + 1].first : tasks;
  double total = 0;
  each_of_row(
      end - rows[r].first, [&](std::int64_t, double part) { total += part; }, partial + rows[r].first);
  total = warp_sum(total);
  if (lane_index() == 0) squares[rows[r].place] = total;
}

template <typename T>
void norms_of(const std::vector<const Tensor*>& xs, const std::vector<std::int64_t>& places, Tensor& squares) {
  std::vector<NormRow<T>> rows;
  std::int64_t elements = 0;
  for (std::size_t i = 0; i < xs.size(); ++i) {
    rows.push_back({pointer<T>(*xs[i]), xs[i]->numel(), 0, places[i]});
    elements += xs[i]->numel();
  }
  const std::int64_t size =
      least_per_warp * std::max<std::int64_t>(1, blocks_for(elements, least_per_warp * most_warps));
  const std::int64_t tasks = number_tasks(rows, size), count = std::ssize(rows);
  const Table<NormRow<T>> table(rows, squares.device());
  const Tensor partial = empty({tasks}, squares.options());
  launch(squared_norm_kernel<T>, blocks_for_rows(tasks), threads_for_rows(tasks), 0, stream(), table.rows(),
         table.count(), tasks, size, partial.ptr<double>());
  launch(squared_norm_finish<T>, blocks_for_rows(count), threads_for_rows(count), 0, stream(), table.rows(),
         table.count(), tasks, partial.ptr<double>(), squares.ptr<double>());
}

/// One warp: norm, factor and the first square that is not finite, as clip_factor of autograd/kernels.def says. Reads
/// 8·count bytes: the floor is the launch.
__global__ void __launch_bounds__(warp_threads)
    clip_factor_kernel(const double* squares, std::int64_t count, double max_norm, double scale, double* clipped) {
  double total = 0, first = static_cast<double>(count);
  for (std::int64_t i = lane_index(); i < count; i += warp_threads) {
    total += squares[i];
    if (!isfinite(squares[i])) first = fmin(first, static_cast<double>(i));
  }
  total = warp_sum(total);
  first = -warp_max(-first);
  if (lane_index() > 0) return;
  const double norm = sqrt(total) / scale;
  clipped[0] = norm;
  clipped[1] = !isfinite(norm) ? norm - norm : norm > max_norm ? max_norm / norm / scale : 1 / scale;
  clipped[2] = first < count ? first : -1;
}

}  // namespace

void entry::adamw(Tensors& p, const Tensors& g, Tensors& m, Tensors& v, const Tensor& factor, const AdamWStep& s) {
  visit_float(p[0].dtype(), [&](auto tag) {
    using T = decltype(tag);
    const auto as = [](double x) { return static_cast<T>(x); };
    const AdamWFactors<T> factors = {as(s.beta1),
                                     as(s.beta2),
                                     as(1 - s.beta1),
                                     as(1 - s.beta2),
                                     as(s.eps),
                                     as(s.lr / s.correction1),
                                     as(1 / std::sqrt(s.correction2))};
    std::vector<AdamWRow<T>> rows;
    for (std::size_t i = 0; i < p.size(); ++i) {
      T *const pi = p[i].ptr<T>(), *const mi = m[i].ptr<T>(), *const vi = v[i].ptr<T>();
      const T* const gi = g[i].ptr<T>();
      rows.push_back({pi, mi, vi, gi, p[i].numel(), 0, as(1 - s.lr * s.weight_decay[i]),
                      whole_packs<Pack<T>::size>({}, pi, mi, vi, gi)});
    }
    const std::int64_t blocks = number_tasks(rows, elements_per_block);
    const Table<AdamWRow<T>> table(rows, factor.device());
    launch(adamw_kernel<T>, blocks, block_threads, 0, stream(), table.rows(), table.count(), factor.ptr<double>(),
           factors);
  });
}

void entry::sgd(Tensors& p, const Tensors& g, Tensors& u, const Tensor& factor, const SGDStep& s) {
  visit_float(p[0].dtype(), [&](auto tag) {
    using T = decltype(tag);
    const auto as = [](double x) { return static_cast<T>(x); };
    const SGDFactors<T> factors = {as(s.momentum), as(s.lr), s.nesterov};
    std::vector<SGDRow<T>> rows;
    for (std::size_t i = 0; i < p.size(); ++i) {
      T *const pi = p[i].ptr<T>(), *const ui = u[i].ptr<T>();
      const T* const gi = g[i].ptr<T>();
      rows.push_back(
          {pi, ui, gi, p[i].numel(), 0, as(1 - s.lr * s.weight_decay[i]), whole_packs<Pack<T>::size>({}, pi, ui, gi)});
    }
    const std::int64_t blocks = number_tasks(rows, elements_per_block);
    const Table<SGDRow<T>> table(rows, factor.device());
    launch(sgd_kernel<T>, blocks, block_threads, 0, stream(), table.rows(), table.count(), factor.ptr<double>(),
           factors);
  });
}

void entry::average(Tensors& averages, const Tensors& xs, double share) {
  visit_float(xs[0].dtype(), [&](auto tag) {
    using T = decltype(tag);
    std::vector<AverageRow<T>> rows;
    for (std::size_t i = 0; i < xs.size(); ++i) {
      T* const a = averages[i].ptr<T>();
      const T* const x = xs[i].ptr<T>();
      rows.push_back({a, x, xs[i].numel(), 0, whole_packs<Pack<T>::size>({}, a, x)});
    }
    const std::int64_t blocks = number_tasks(rows, elements_per_block);
    const Table<AverageRow<T>> table(rows, xs[0].device());
    launch(average_kernel<T>, blocks, block_threads, 0, stream(), table.rows(), table.count(), static_cast<T>(share));
  });
}

void entry::squared_norms(const Tensors& xs, Tensor& squares) {
  for (const DType dtype : {DType::float32, DType::float64, DType::bfloat16, DType::float16}) {
    std::vector<const Tensor*> found;
    std::vector<std::int64_t> places;
    for (std::size_t i = 0; i < xs.size(); ++i) {
      if (xs[i].dtype() != dtype) continue;
      found.push_back(&xs[i]);
      places.push_back(static_cast<std::int64_t>(i));
    }
    if (found.empty()) continue;
    visit_stored(dtype, [&](auto tag) { norms_of<decltype(tag)>(found, places, squares); });
  }
}

void entry::clip_factor(const Tensor& squares, double max_norm, double scale, Tensor& clipped) {
  launch(clip_factor_kernel, 1, warp_threads, 0, stream(), pointer<double>(squares), squares.numel(), max_norm, scale,
         clipped.ptr<double>());
}

}  // namespace folio::FOLIO_CUDA
