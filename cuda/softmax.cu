// y = e^x / Σ e^x of each row, and its logarithm, one warp per row, which looks at its row twice, the second time from
// the cache where a row fits.
// A row with NaN or +∞ in it, or with nothing but −∞, is NaN; −∞ among finite values gives exactly 0.
#include "cuda/softmax.hpp"

namespace folio::FOLIO_CUDA {
namespace {

/// Reads x and writes y, 2·rows·n·sizeof(T) bytes.
template <typename T>
__global__ void __launch_bounds__(block_threads, four_resident)
    softmax_kernel(const T* x, std::int64_t rows, std::int64_t n, T* y) {
  using A = Accumulator<T>;
  const std::int64_t row = warp_index();
  if (row >= rows) return;
  const RowTotal<A> sum = row_total(x + row * n, n);
  const A share = A{1} / sum.total;
  map_row(
      n, [&](std::int64_t, A value) { return exp(value - sum.largest) * share; }, y + row * n, x + row * n);
}

/// Reads dy and y and writes dx, 3·rows·n·sizeof(T) bytes.
template <typename T>
__global__ void __launch_bounds__(block_threads)
    softmax_backward_kernel(const T* dy, const T* y, std::int64_t rows, std::int64_t n, T* dx) {
  using A = Accumulator<T>;
  const std::int64_t row = warp_index();
  if (row >= rows) return;
  const T *upstream = dy + row * n, *probabilities = y + row * n;
  A along = 0;
  each_of_row(
      n, [&](std::int64_t, A g, A p) { along += g * p; }, upstream, probabilities);
  along = warp_sum(along);
  map_row(
      n, [&](std::int64_t, A g, A p) { return p * (g - along); }, dx + row * n, upstream, probabilities);
}

/// Reads x and writes y, 2·rows·n·sizeof(T) bytes.
template <typename T>
__global__ void __launch_bounds__(block_threads)
    log_softmax_kernel(const T* x, std::int64_t rows, std::int64_t n, T* y) {
  using A = Accumulator<T>;
  const std::int64_t row = warp_index();
  if (row >= rows) return;
  const RowTotal<A> sum = row_total(x + row * n, n);
  const A shift = log(sum.total);
  map_row(
      n, [&](std::int64_t, A value) { return value - sum.largest - shift; }, y + row * n, x + row * n);
}

/// Reads dy and y and writes dx, 3·rows·n·sizeof(T) bytes.
template <typename T>
__global__ void __launch_bounds__(block_threads, four_resident)
    log_softmax_backward_kernel(const T* dy, const T* y, std::int64_t rows, std::int64_t n, T* dx) {
  using A = Accumulator<T>;
  const std::int64_t row = warp_index();
  if (row >= rows) return;
  const T* upstream = dy + row * n;
  A total = 0;
  each_of_row(
      n, [&](std::int64_t, A value) { total += value; }, upstream);
  total = warp_sum(total);
  map_row(
      n, [&](std::int64_t, A g, A log_p) { return g - exp(log_p) * total; }, dx + row * n, upstream, y + row * n);
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
  visit_stored(x.dtype(), [&](auto tag) { forward<decltype(tag)>(softmax_kernel<decltype(tag)>, x, y); });
}
void entry::softmax_backward(const Tensor& dy, const Tensor& y, Tensor& dx) {
  if (y.numel() == 0) return;
  visit_stored(y.dtype(),
               [&](auto tag) { backward<decltype(tag)>(softmax_backward_kernel<decltype(tag)>, dy, y, dx); });
}
void entry::log_softmax(const Tensor& x, Tensor& y) {
  if (x.numel() == 0) return;
  visit_stored(x.dtype(), [&](auto tag) { forward<decltype(tag)>(log_softmax_kernel<decltype(tag)>, x, y); });
}
void entry::log_softmax_backward(const Tensor& dy, const Tensor& y, Tensor& dx) {
  if (y.numel() == 0) return;
  visit_stored(y.dtype(),
               [&](auto tag) { backward<decltype(tag)>(log_softmax_backward_kernel<decltype(tag)>, dy, y, dx); });
}

}  // namespace folio::FOLIO_CUDA
