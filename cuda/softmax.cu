// y = e^x / Σ e^x of each row, and its logarithm, one warp per row. Forward reads x twice, the second time from the cache
// where a row fits, and writes y: 8 bytes per float32 element at least. Backward reads dy and y and writes dx: 12 bytes.
// A row with NaN or +∞ in it, or with nothing but −∞, is NaN; −∞ among finite values gives exactly 0.
#include "cuda/softmax.hpp"

namespace folio::FOLIO_CUDA {
namespace {

template <typename T>
__global__ void __launch_bounds__(block_threads) softmax_kernel(const T* x, std::int64_t rows, std::int64_t n, T* y) {
  const std::int64_t row = warp_index();
  if (row >= rows) return;
  const RowTotal<T> sum = row_total(x + row * n, n);
  map_row(x + row * n, y + row * n, n, [&](std::int64_t, T value) { return exp(value - sum.largest) / sum.total; });
}

template <typename T>
__global__ void __launch_bounds__(block_threads)
    softmax_backward_kernel(const T* dy, const T* y, std::int64_t rows, std::int64_t n, T* dx) {
  const std::int64_t row = warp_index();
  if (row >= rows) return;
  const T* g = dy + row * n;
  T along = 0;
  each_of_row(y + row * n, n, [&](std::int64_t c, T p) { along += g[c] * p; });
  along = warp_sum(along);
  map_row(y + row * n, dx + row * n, n, [&](std::int64_t c, T p) { return p * (g[c] - along); });
}

template <typename T>
__global__ void __launch_bounds__(block_threads)
    log_softmax_kernel(const T* x, std::int64_t rows, std::int64_t n, T* y) {
  const std::int64_t row = warp_index();
  if (row >= rows) return;
  const RowTotal<T> sum = row_total(x + row * n, n);
  const T shift = log(sum.total);
  map_row(x + row * n, y + row * n, n, [&](std::int64_t, T value) { return value - sum.largest - shift; });
}

template <typename T>
__global__ void __launch_bounds__(block_threads)
    log_softmax_backward_kernel(const T* dy, const T* y, std::int64_t rows, std::int64_t n, T* dx) {
  const std::int64_t row = warp_index();
  if (row >= rows) return;
  const T* g = dy + row * n;
  T total = 0;
  each_of_row(g, n, [&](std::int64_t, T value) { total += value; });
  total = warp_sum(total);
  map_row(y + row * n, dx + row * n, n, [&](std::int64_t c, T log_p) { return g[c] - exp(log_p) * total; });
}

template <typename T>
using Forward = void (*)(const T*, std::int64_t, std::int64_t, T*);
template <typename T>
using Backward = void (*)(const T*, const T*, std::int64_t, std::int64_t, T*);

template <typename T>
void forward(Forward<T> kernel, const Tensor& x, Tensor& y) {
  const std::int64_t n = x.dim(-1), rows = x.numel() / n;
  launch(kernel, blocks_for_rows(rows), threads_for_rows(rows), 0, stream(), x.ptr<T>(), rows, n, y.ptr<T>());
}
template <typename T>
void backward(Backward<T> kernel, const Tensor& dy, const Tensor& y, Tensor& dx) {
  const std::int64_t n = y.dim(-1), rows = y.numel() / n;
  launch(kernel, blocks_for_rows(rows), threads_for_rows(rows), 0, stream(), dy.ptr<T>(), y.ptr<T>(), rows, n,
         dx.ptr<T>());
}

}  // namespace

void entry::softmax(const Tensor& x, Tensor& y) {
  if (x.numel() == 0) return;
  visit_float(x.dtype(), [&](auto tag) { forward<decltype(tag)>(softmax_kernel<decltype(tag)>, x, y); });
}
void entry::softmax_backward(const Tensor& dy, const Tensor& y, Tensor& dx) {
  if (y.numel() == 0) return;
  visit_float(y.dtype(), [&](auto tag) { backward<decltype(tag)>(softmax_backward_kernel<decltype(tag)>, dy, y, dx); });
}
void entry::log_softmax(const Tensor& x, Tensor& y) {
  if (x.numel() == 0) return;
  visit_float(x.dtype(), [&](auto tag) { forward<decltype(tag)>(log_softmax_kernel<decltype(tag)>, x, y); });
}
void entry::log_softmax_backward(const Tensor& dy, const Tensor& y, Tensor& dx) {
  if (y.numel() == 0) return;
  visit_float(y.dtype(),
              [&](auto tag) { backward<decltype(tag)>(log_softmax_backward_kernel<decltype(tag)>, dy, y, dx); });
}

}  // namespace folio::FOLIO_CUDA
