// Tokens' rows to their experts and back. Weights beside 16-bit rows may be float32. A row that does not exist is
// reported with the next copy to the host.
#include "cuda/rows.hpp"

namespace folio::FOLIO_CUDA {
namespace {

/// One thread per pack of V columns of a choice i: y[row_of[i]] = x[i / k]. Reads x and writes y, k times as much:
/// (1 + 1/k)·choices·width·sizeof(T) bytes; a token's later choices find its row in the cache.
template <int V, typename T>
__global__ void __launch_bounds__(block_threads)
    dispatch_rows_kernel(const T* x, const std::int32_t* row_of, std::int64_t choices, std::int64_t k,
                         std::int64_t width, T* y, Report bad) {
  const std::int64_t at = thread_index() * V;
  if (at >= choices * width) return;
  const std::int64_t i = at / width, c = at % width, row = row_of[i];
  if (row < 0 || row >= choices) {
    complain(bad, Finder::dispatch_rows, i);
    return;
  }
  store_pack(y + row * width + c, load_pack<T, V>(x + i / k * width + c));
}

/// One thread per pack of V columns of a token; null weights stand for ones. Reads k rows per token and writes one:
/// (k + 1)·tokens·width·sizeof(T) bytes.
template <int V, typename T, typename W>
__global__ void __launch_bounds__(block_threads)
    combine_rows_kernel(const T* rows, const W* weights, const std::int32_t* row_of, std::int64_t tokens,
                        std::int64_t k, std::int64_t width, T* y, Report bad) {
  const std::int64_t at = thread_index() * V;
  if (at >= tokens * width) return;
  const std::int64_t t = at / width, c = at % width;
  Columns<T, V> total;
  for (int j = 0; j < V; ++j) total.value[j] = 0;
#pragma unroll 1  // unrolled, sm_80 runs out of registers
  for (std::int64_t i = t * k; i < (t + 1) * k; ++i) {
    const std::int64_t row = row_of[i];
    if (row < 0 || row >= tokens * k) {
      complain(bad, Finder::combine_rows, i);
      continue;
    }
    const Accumulator<T> weight = weights != nullptr ? wide(weights[i]) : 1;
    const auto in = Columns<T, V>::load(rows + row * width + c);
    for (int j = 0; j < V; ++j) {
      total.value[j] = i == t * k ? weight * in.value[j] : total.value[j] + weight * in.value[j];
    }
  }
  total.store(y + at);
}

/// One warp per choice; drows or dweights may be null. Reads dy, and rows for dweights, and writes drows:
/// (2 + 1/k)·choices·width·sizeof(T) bytes; a token's later choices find its row of dy in the cache.
template <typename T, typename W>
__global__ void __launch_bounds__(block_threads)
    combine_rows_backward_kernel(const T* dy, const T* rows, const W* weights, const std::int32_t* row_of,
                                 std::int64_t choices, std::int64_t k, std::int64_t width, T* drows, W* dweights) {
  using A = Accumulator<T>;
  const std::int64_t i = warp_index();
  if (i >= choices) return;
  const std::int64_t row = row_of[i];
  if (row < 0 || row >= choices) return;  // reported by forward
  const T* g = dy + i / k * width;
  if (dweights != nullptr) {
    A along = 0;
    each_of_row(
        width, [&](std::int64_t, A upstream, A value) { along += upstream * value; }, g, rows + row * width);
    along = warp_sum(along);
    if (lane_index() == 0) dweights[i] = narrow<W>(along);
  }
  if (drows == nullptr) return;
  const A weight = wide(weights[i]);
  map_row(
      width, [&](std::int64_t, A value) { return weight * value; }, drows + row * width, g);
}

}  // namespace

void entry::dispatch_rows(const Tensor& x, const Tensor& row_of, Tensor& y) {
  visit_stored(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const std::int64_t choices = row_of.numel(), width = x.dim(1);
    const bool whole = whole_packs<Pack<T>::size>({width}, x.ptr<T>(), y.ptr<T>());
    const std::int64_t n = choices * width / (whole ? Pack<T>::size : 1);
    launch(whole ? dispatch_rows_kernel<Pack<T>::size, T> : dispatch_rows_kernel<1, T>, blocks_for(n, threads_for(n)),
           threads_for(n), 0, stream(), x.ptr<T>(), row_of.ptr<std::int32_t>(), choices, row_of.dim(1), width,
           y.ptr<T>(), report());
  });
}

void entry::combine_rows(const Tensor& rows, const Tensor& weights, const Tensor& row_of, Tensor& y) {
  visit_with_weight(y.dtype(), weights, [&](auto tag, auto of_weight) {
    using T = decltype(tag);
    using W = decltype(of_weight);
    const std::int64_t tokens = row_of.dim(0), width = y.dim(1);
    const bool whole = whole_packs<Pack<T>::size>({width}, rows.ptr<T>(), y.ptr<T>());
    const std::int64_t n = tokens * width / (whole ? Pack<T>::size : 1);
    launch(whole ? combine_rows_kernel<Pack<T>::size, T, W> : combine_rows_kernel<1, T, W>,
           blocks_for(n, threads_for(n)), threads_for(n), 0, stream(), rows.ptr<T>(), pointer<W>(weights),
           row_of.ptr<std::int32_t>(), tokens, row_of.dim(1), width, y.ptr<T>(), report());
  });
}

void entry::combine_rows_backward(const Tensor& dy, const Tensor& rows, const Tensor& weights, const Tensor& row_of,
                                  Tensor& drows, Tensor& dweights) {
  visit_with_weight(dy.dtype(), weights.defined() ? weights : dweights, [&](auto tag, auto of_weight) {
    using T = decltype(tag);
    using W = decltype(of_weight);
    const std::int64_t choices = row_of.numel();
    launch(combine_rows_backward_kernel<T, W>, blocks_for_rows(choices), threads_for_rows(choices), 0, stream(),
           dy.ptr<T>(), pointer<T>(rows), pointer<W>(weights), row_of.ptr<std::int32_t>(), choices, row_of.dim(1),
           dy.dim(1), pointer<T>(drows), pointer<W>(dweights));
  });
}

}  // namespace folio::FOLIO_CUDA
