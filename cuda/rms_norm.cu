// y = x·r·w, r = 1/√(mean x² + eps), one warp per row. A weight beside 16-bit rows may be float32.
#include "cuda/rows.hpp"

namespace folio::FOLIO_CUDA {
namespace {

constexpr std::int64_t rows_per_part = 128;

/// Reads x and writes y, 2·rows·d·sizeof(T) bytes; the second look at the row is from the cache.
template <typename T, typename W>
__global__ void __launch_bounds__(block_threads)
    rms_norm_kernel(const T* x, std::int64_t stride, const W* weight, std::int64_t rows, std::int64_t d, double eps,
                    T* y, Accumulator<T>* r) {
  using A = Accumulator<T>;
  const std::int64_t row = warp_index();
  if (row >= rows) return;
  const T* in = x + row * stride;
  A squares = 0;
  each_of_row(
      d, [&](std::int64_t, A value) { squares += value * value; }, in);
  const A scale = A{1} / sqrt(warp_sum(squares) / static_cast<A>(d) + static_cast<A>(eps));
  if (lane_index() == 0) r[row] = scale;
  map_row(
      d, [&](std::int64_t, A value, A w) { return value * scale * w; }, y + row * d, in, weight);
}

/// Reads dy and x and writes dx, 3·rows·d·sizeof(T) bytes.
template <typename T, typename W>
__global__ void __launch_bounds__(block_threads)
    rms_norm_dx(const T* dy, std::int64_t dy_stride, const T* x, std::int64_t x_stride, const W* weight,
                const Accumulator<T>* r, std::int64_t rows, std::int64_t d, T* dx) {
  using A = Accumulator<T>;
  const std::int64_t row = warp_index();
  if (row >= rows) return;
  const T *g = dy + row * dy_stride, *in = x + row * x_stride;
  const A scale = r[row];
  A along = 0;
  each_of_row(
      d, [&](std::int64_t, A upstream, A w, A value) { along += upstream * w * (value * scale); }, g, weight, in);
  along = warp_sum(along) / static_cast<A>(d);
  map_row(
      d, [&](std::int64_t, A upstream, A w, A value) { return (upstream * w - value * scale * along) * scale; },
      dx + row * d, g, weight, in);
}

/// One block per 32 packs of V columns of a part of the rows: its warps take the rows in turn and add up what they have in
/// order, as the parts are added up afterwards. Reads dy and x, some rows ahead of the sum, 2·rows·d·sizeof(T) bytes, and
/// writes one element of Accumulator<T> for every 128.
template <int V, typename T>
__global__ void __launch_bounds__(block_threads)
    rms_norm_dw(const T* dy, std::int64_t dy_stride, const T* x, std::int64_t x_stride, const Accumulator<T>* r,
                std::int64_t rows, std::int64_t d, unsigned groups, Accumulator<T>* partial) {
  using A = Accumulator<T>;
  constexpr int warps = block_threads / warp_threads, columns = warp_threads * V;
  SHARED(A, sums, [warps][columns]);
  const int warp = static_cast<int>(threadIdx.x) / warp_threads, lane = lane_index();
  const std::int64_t part = blockIdx.x / groups, c = std::int64_t{blockIdx.x % groups} * columns + lane * V;
  const std::int64_t begin = part * rows_per_part;
  const std::int64_t end = begin + rows_per_part < rows ? begin + rows_per_part : rows;
  Columns<A, V> total = {};
  const std::int64_t past = c < d ? end : begin;  // lanes beyond the last column meet the others at the barrier
#pragma unroll 4
  for (std::int64_t row = begin + warp; row < past; row += warps) {
    const auto g = Columns<T, V>::load(dy + row * dy_stride + c), in = Columns<T, V>::load(x + row * x_stride + c);
    const A scale = r[row];
    for (int j = 0; j < V; ++j) total.value[j] += g.value[j] * in.value[j] * scale;
  }
  total.store(sums[warp] + lane * V);
  __syncthreads();
  if (warp > 0 || c >= d) return;
#pragma unroll 1
  for (int other = 1; other < warps; ++other) {
    const auto more = Columns<A, V>::load(sums[other] + lane * V);
    for (int j = 0; j < V; ++j) total.value[j] += more.value[j];
  }
  total.store(partial + part * d + c);
}

}  // namespace

void entry::rms_norm(const Tensor& x, const Tensor& weight, double eps, Tensor& y, Tensor& r) {
  const std::int64_t rows = x.dim(0), d = x.dim(1);
  if (d == 0) return entry::fill(0, r);
  visit_with_weight(x.dtype(), weight, [&](auto tag, auto of_weight) {
    using T = decltype(tag);
    using W = decltype(of_weight);
    launch(rms_norm_kernel<T, W>, blocks_for_rows(rows), threads_for_rows(rows), 0, stream(), x.ptr<T>(),
           x.strides()[0], weight.ptr<W>(), rows, d, eps, y.ptr<T>(), r.ptr<Accumulator<T>>());
  });
}

void entry::rms_norm_backward(const Tensor& dy, const Tensor& x, const Tensor& weight, const Tensor& r, Tensor& dx,
                              Tensor& dw) {
  const std::int64_t rows = x.dim(0), d = x.dim(1);
  if (d == 0) return;
  visit_with_weight(x.dtype(), weight, [&](auto tag, auto of_weight) {
    using T = decltype(tag);
    using W = decltype(of_weight);
    using A = Accumulator<T>;
    if (dx.defined()) {
      launch(rms_norm_dx<T, W>, blocks_for_rows(rows), threads_for_rows(rows), 0, stream(), dy.ptr<T>(),
             dy.strides()[0], x.ptr<T>(), x.strides()[0], weight.ptr<W>(), r.ptr<A>(), rows, d, dx.ptr<T>());
    }
    if (!dw.defined()) return;
    constexpr int V = Pack<T>::size;
    const std::int64_t parts = std::max<std::int64_t>(1, blocks_for(rows, rows_per_part));
    const Tensor partial = empty({parts, d}, r.options());
    const bool whole =
        whole_packs<V>({d, dy.strides()[0], x.strides()[0]}, pointer<T>(dy), pointer<T>(x), partial.ptr<A>());
    const std::int64_t groups = blocks_for(d, warp_threads * (whole ? V : 1));
    launch(whole ? rms_norm_dw<V, T> : rms_norm_dw<1, T>, parts * groups, block_threads, 0, stream(), pointer<T>(dy),
           dy.strides()[0], pointer<T>(x), x.strides()[0], pointer<A>(r), rows, d, static_cast<unsigned>(groups),
           partial.ptr<A>());
    entry::sum(partial, 1, parts, d, dw);
  });
}

}  // namespace folio::FOLIO_CUDA
