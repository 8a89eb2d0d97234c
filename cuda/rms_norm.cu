// y = x·r·w, r = 1/√(mean x² + eps), one warp per row. Forward reads x and writes y: 8 bytes per float32 element, the
// second look at the row from the cache. Backward reads dy and x and writes dx: 12 bytes; dw reads both once more.
#include "cuda/rows.hpp"

namespace folio::FOLIO_CUDA {
namespace {

constexpr std::int64_t rows_per_part = 64;

template <typename T>
__global__ void __launch_bounds__(block_threads)
    rms_norm_kernel(const T* x, std::int64_t stride, const T* weight, std::int64_t rows, std::int64_t d, double eps,
                    T* y, T* r) {
  const std::int64_t row = warp_index();
  if (row >= rows) return;
  const T* in = x + row * stride;
  T squares = 0;
  each_of_row(in, d, [&](std::int64_t, T value) { squares += value * value; });
  const T scale = T{1} / sqrt(warp_sum(squares) / static_cast<T>(d) + static_cast<T>(eps));
  map_row(in, y + row * d, d, [&](std::int64_t c, T value) { return value * scale * weight[c]; });
  if (lane_index() == 0) r[row] = scale;
}

template <typename T>
__global__ void __launch_bounds__(block_threads)
    rms_norm_dx(const T* dy, std::int64_t dy_stride, const T* x, std::int64_t x_stride, const T* weight, const T* r,
                std::int64_t rows, std::int64_t d, T* dx) {
  const std::int64_t row = warp_index();
  if (row >= rows) return;
  const T *g = dy + row * dy_stride, *in = x + row * x_stride;
  const T scale = r[row];
  T along = 0;
  each_of_row(in, d, [&](std::int64_t c, T value) { along += g[c] * weight[c] * value; });
  along = scale * scale * scale * warp_sum(along) / static_cast<T>(d);
  map_row(in, dx + row * d, d, [&](std::int64_t c, T value) { return g[c] * weight[c] * scale - value * along; });
}

/// One thread per column of a part of the rows; the parts are added up afterwards.
template <typename T>
__global__ void __launch_bounds__(block_threads)
    rms_norm_dw(const T* dy, std::int64_t dy_stride, const T* x, std::int64_t x_stride, const T* r, std::int64_t rows,
                std::int64_t d, std::int64_t parts, T* partial) {
  const std::int64_t i = thread_index();
  if (i >= parts * d) return;
  const std::int64_t c = i % d, begin = i / d * rows_per_part;
  const std::int64_t end = begin + rows_per_part < rows ? begin + rows_per_part : rows;
  T total = 0;
  for (std::int64_t row = begin; row < end; ++row) total += dy[row * dy_stride + c] * x[row * x_stride + c] * r[row];
  partial[i] = total;
}

}  // namespace

void entry::rms_norm(const Tensor& x, const Tensor& weight, double eps, Tensor& y, Tensor& r) {
  const std::int64_t rows = x.dim(0), d = x.dim(1);
  if (d == 0) return entry::fill(0, r);
  visit_float(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    launch(rms_norm_kernel<T>, blocks_for_rows(rows), threads_for_rows(rows), 0, stream(), x.ptr<T>(), x.strides()[0],
           weight.ptr<T>(), rows, d, eps, y.ptr<T>(), r.ptr<T>());
  });
}

void entry::rms_norm_backward(const Tensor& dy, const Tensor& x, const Tensor& weight, const Tensor& r, Tensor& dx,
                              Tensor& dw) {
  const std::int64_t rows = x.dim(0), d = x.dim(1);
  if (d == 0) return;
  visit_float(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    if (dx.defined()) {
      launch(rms_norm_dx<T>, blocks_for_rows(rows), threads_for_rows(rows), 0, stream(), dy.ptr<T>(), dy.strides()[0],
             x.ptr<T>(), x.strides()[0], weight.ptr<T>(), r.ptr<T>(), rows, d, dx.ptr<T>());
    }
    if (!dw.defined()) return;
    const std::int64_t parts = std::max<std::int64_t>(1, blocks_for(rows, rows_per_part)),
                       threads = threads_for(parts * d);
    const Tensor partial = empty({parts, d}, x.options());
    launch(rms_norm_dw<T>, blocks_for(parts * d, threads), static_cast<int>(threads), 0, stream(), pointer<T>(dy),
           dy.strides()[0], pointer<T>(x), x.strides()[0], pointer<T>(r), rows, d, parts, partial.ptr<T>());
    entry::sum(partial, 1, parts, d, dw);
  });
}

}  // namespace folio::FOLIO_CUDA
