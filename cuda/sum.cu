// y = Σ x over a run of dimensions. Reads x once (4 bytes per float32 element) and writes little: the floor is x's bytes
// over the memory's speed. Sums are cut by shape alone, so that every run gives the same bits.
#include "cuda/rows.hpp"

namespace folio::FOLIO_CUDA {
namespace {

constexpr std::int64_t columns_per_warp = 4096, rows_per_thread = 64;

/// One warp per part of a row: y[row, part] = Σ of its columns.
template <typename T>
__global__ void __launch_bounds__(block_threads)
    sum_rows_kernel(const T* x, std::int64_t rows, std::int64_t columns, std::int64_t parts, T* y) {
  const std::int64_t task = warp_index();
  if (task >= rows * parts) return;
  const std::int64_t begin = task % parts * columns_per_warp, left = columns - begin;
  T total = 0;
  each_of_row(x + task / parts * columns + begin, left < columns_per_warp ? left : columns_per_warp,
              [&](std::int64_t, T value) { total += value; });
  total = warp_sum(total);
  if (lane_index() == 0) y[task] = total;
}

/// One thread per column of a part: y[o, part, c] = Σ over the part's rows of x[o, r, c]. Neighbours read neighbours.
template <typename T>
__global__ void __launch_bounds__(block_threads)
    sum_columns_kernel(const T* x, std::int64_t outer, std::int64_t reduced, std::int64_t inner, std::int64_t parts,
                       T* y) {
  const std::int64_t i = thread_index();
  if (i >= outer * parts * inner) return;
  const std::int64_t c = i % inner, part = i / inner % parts, o = i / inner / parts;
  const std::int64_t begin = part * rows_per_thread;
  const std::int64_t end = begin + rows_per_thread < reduced ? begin + rows_per_thread : reduced;
  T total = 0;
  for (std::int64_t r = begin; r < end; ++r) total += x[(o * reduced + r) * inner + c];
  y[i] = total;
}

template <typename T>
void sum_columns(const T* x, std::int64_t outer, std::int64_t reduced, std::int64_t inner, T* y, Device device) {
  const std::int64_t parts = std::max<std::int64_t>(1, blocks_for(reduced, rows_per_thread)), n = outer * parts * inner;
  const Tensor scratch = parts > 1 ? empty({n}, {dtype_of<T>(), device}) : Tensor();
  T* const out = parts > 1 ? scratch.ptr<T>() : y;
  launch(sum_columns_kernel<T>, blocks_for(n, threads_for(n)), threads_for(n), 0, stream(), x, outer, reduced, inner,
         parts, out);
  if (parts > 1) sum_columns<T>(out, outer, parts, inner, y, device);
}

}  // namespace

template <typename T>
void sum_rows(const T* x, std::int64_t rows, std::int64_t columns, T* y, Device device) {
  const std::int64_t parts = std::max<std::int64_t>(1, blocks_for(columns, columns_per_warp)), tasks = rows * parts;
  const Tensor scratch = parts > 1 ? empty({tasks}, {dtype_of<T>(), device}) : Tensor();
  T* const out = parts > 1 ? scratch.ptr<T>() : y;
  launch(sum_rows_kernel<T>, blocks_for_rows(tasks), threads_for_rows(tasks), 0, stream(), x, rows, columns, parts,
         out);
  if (parts > 1) sum_rows<T>(out, rows, parts, y, device);
}
template void sum_rows(const float*, std::int64_t, std::int64_t, float*, Device);
template void sum_rows(const double*, std::int64_t, std::int64_t, double*, Device);

void entry::sum(const Tensor& x, std::int64_t outer, std::int64_t reduced, std::int64_t inner, Tensor& y) {
  visit_float(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    if (inner == 1) {
      sum_rows<T>(pointer<T>(x), outer, reduced, y.ptr<T>(), x.device());
    } else {
      sum_columns<T>(pointer<T>(x), outer, reduced, inner, y.ptr<T>(), x.device());
    }
  });
}

}  // namespace folio::FOLIO_CUDA
