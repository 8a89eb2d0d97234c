// y = Σ x over a run of dimensions. Sums are cut by shape alone, so that every run gives the same bits; parts of sums
// of 16-bit floats are float32, and only y is rounded. Parts add one element of Accumulator<T>, written and read again,
// for every 4096 or 64 of x.
#include "cuda/rows.hpp"

namespace folio::FOLIO_CUDA {
namespace {

constexpr std::int64_t columns_per_warp = 4096, rows_per_thread = 64;

/// One warp per part of a row: y[row, part] = Σ of its columns. Reads rows·columns·sizeof(T) bytes and writes little.
template <typename T, typename Y>
__global__ void __launch_bounds__(block_threads)
    sum_rows_kernel(const T* x, std::int64_t rows, std::int64_t columns, std::int64_t parts, Y* y) {
  using A = Accumulator<T>;
  const std::int64_t task = warp_index();
  if (task >= rows * parts) return;
  const std::int64_t begin = task % parts * columns_per_warp, left = columns - begin;
  A total = 0;
  each_of_row(
      left < columns_per_warp ? left : columns_per_warp, [&](std::int64_t, A value) { total += value; },
      x + task / parts * columns + begin);
  total = warp_sum(total);
  if (lane_index() == 0) y[task] = narrow<Y>(total);
}

/// One thread per pack of V columns of a part: y[o, part, c] = Σ over the part's rows of x[o, r, c]. Reads
/// outer·reduced·inner·sizeof(T) bytes, some rows ahead of the sum, and writes little where rows are many.
template <int V, typename T, typename Y>
__global__ void __launch_bounds__(block_threads)
    sum_columns_kernel(const T* x, std::int64_t outer, std::int64_t reduced, std::int64_t inner, std::int64_t parts,
                       Y* y) {
  const std::int64_t i = thread_index() * V;
  if (i >= outer * parts * inner) return;
  const std::int64_t c = i % inner, part = i / inner % parts, o = i / inner / parts;
  const std::int64_t begin = part * rows_per_thread;
  const std::int64_t end = begin + rows_per_thread < reduced ? begin + rows_per_thread : reduced;
  Columns<Y, V> total = {};
#pragma unroll 4
  for (std::int64_t r = begin; r < end; ++r) {
    const auto row = Columns<T, V>::load(x + (o * reduced + r) * inner + c);
    for (int j = 0; j < V; ++j) total.value[j] += row.value[j];
  }
  total.store(y + i);
}

template <typename T, typename Y>
void sum_columns(const T* x, std::int64_t outer, std::int64_t reduced, std::int64_t inner, Y* y, Device device) {
  using A = Accumulator<T>;
  constexpr int V = Pack<T>::size;
  const std::int64_t parts = std::max<std::int64_t>(1, blocks_for(reduced, rows_per_thread)), n = outer * parts * inner;
  const auto add = [&](auto* out) {
    using Out = std::remove_pointer_t<decltype(out)>;
    const bool whole = whole_packs<V>({inner}, x, out);
    const std::int64_t threads = whole ? n / V : n;
    launch(whole ? sum_columns_kernel<V, T, Out> : sum_columns_kernel<1, T, Out>,
           blocks_for(threads, threads_for(threads)), threads_for(threads), 0, stream(), x, outer, reduced, inner,
           parts, out);
  };
  if (parts == 1) return add(y);
  const Tensor scratch = empty({n}, {dtype_of<A>(), device});
  add(scratch.ptr<A>());
  sum_columns<A>(scratch.ptr<A>(), outer, parts, inner, y, device);
}

}  // namespace

template <typename T, typename Y>
void sum_rows(const T* x, std::int64_t rows, std::int64_t columns, Y* y, Device device) {
  using A = Accumulator<T>;
  const std::int64_t parts = std::max<std::int64_t>(1, blocks_for(columns, columns_per_warp)), tasks = rows * parts;
  const auto add = [&](auto* out) {
    launch(sum_rows_kernel<T, std::remove_pointer_t<decltype(out)>>, blocks_for_rows(tasks), threads_for_rows(tasks), 0,
           stream(), x, rows, columns, parts, out);
  };
  if (parts == 1) return add(y);
  const Tensor scratch = empty({tasks}, {dtype_of<A>(), device});
  add(scratch.ptr<A>());
  sum_rows<A>(scratch.ptr<A>(), rows, parts, y, device);
}
template void sum_rows(const double*, std::int64_t, std::int64_t, double*, Device);

void entry::sum(const Tensor& x, std::int64_t outer, std::int64_t reduced, std::int64_t inner, Tensor& y) {
  visit_stored(x.dtype(), [&](auto tag) {
    visit_stored(y.dtype(), [&](auto result) {
      using T = decltype(tag);
      using Y = decltype(result);
      if constexpr (std::is_same_v<T, Y> || std::is_same_v<Accumulator<T>, Y> || std::is_same_v<T, Accumulator<Y>>) {
        if (inner == 1) {
          sum_rows(pointer<T>(x), outer, reduced, y.ptr<Y>(), x.device());
        } else {
          sum_columns(pointer<T>(x), outer, reduced, inner, y.ptr<Y>(), x.device());
        }
      } else {
        throw Error("sum: " + describe(x) + " has no sum in " + name_of(y.dtype()) + ": take " + name_of(x.dtype()));
      }
    });
  });
}

}  // namespace folio::FOLIO_CUDA
