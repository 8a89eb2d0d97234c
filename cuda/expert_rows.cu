// Tokens' rows to their experts and back. Dispatch reads and writes 8 bytes per float32 element of its result; combine
// reads k rows per token and writes one; its backward reads dy and the rows and writes as much. A row that does not exist
// is reported with the next copy to the host.
#include "cuda/rows.hpp"

namespace folio::FOLIO_CUDA {
namespace {

/// One thread per pack of V columns of a choice i: y[row_of[i]] = x[i / k].
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

/// One thread per pack of V columns of a token; null weights stand for ones.
template <int V, typename T>
__global__ void __launch_bounds__(block_threads)
    combine_rows_kernel(const T* rows, const T* weights, const std::int32_t* row_of, std::int64_t tokens,
                        std::int64_t k, std::int64_t width, T* y, Report bad) {
  const std::int64_t at = thread_index() * V;
  if (at >= tokens * width) return;
  const std::int64_t t = at / width, c = at % width;
  Pack<T, V> total;
  for (int j = 0; j < V; ++j) total[j] = 0;
#pragma unroll 1  // unrolled, sm_80 runs out of registers
  for (std::int64_t i = t * k; i < (t + 1) * k; ++i) {
    const std::int64_t row = row_of[i];
    if (row < 0 || row >= tokens * k) {
      complain(bad, Finder::combine_rows, i);
      continue;
    }
    const T weight = weights != nullptr ? weights[i] : T{1};
    const Pack<T, V> in = load_pack<T, V>(rows + row * width + c);
    for (int j = 0; j < V; ++j) total[j] = i == t * k ? weight * in[j] : total[j] + weight * in[j];
  }
  store_pack(y + at, total);
}

/// One warp per choice; drows or dweights may be null.
template <typename T>
__global__ void __launch_bounds__(block_threads)
    combine_rows_backward_kernel(const T* dy, const T* rows, const T* weights, const std::int32_t* row_of,
                                 std::int64_t choices, std::int64_t k, std::int64_t width, T* drows, T* dweights) {
  const std::int64_t i = warp_index();
  if (i >= choices) return;
  const std::int64_t row = row_of[i];
  if (row < 0 || row >= choices) return;  // reported by forward
  const T* g = dy + i / k * width;
  if (dweights != nullptr) {
    T along = 0;
    each_of_row(rows + row * width, width, [&](std::int64_t c, T value) { along += g[c] * value; });
    along = warp_sum(along);
    if (lane_index() == 0) dweights[i] = along;
  }
  if (drows == nullptr) return;
  const T weight = weights[i];
  map_row(g, drows + row * width, width, [&](std::int64_t, T value) { return weight * value; });
}

template <typename T, typename... P>
bool whole_packs(std::int64_t width, const P*... x) {
  return width % Pack<T>::size == 0 && (is_pack_aligned<Pack<T>>(x) && ...);
}

}  // namespace

void entry::dispatch_rows(const Tensor& x, const Tensor& row_of, Tensor& y) {
  visit_float(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const std::int64_t choices = row_of.numel(), width = x.dim(1);
    const bool whole = whole_packs<T>(width, x.ptr<T>(), y.ptr<T>());
    const std::int64_t n = choices * width / (whole ? Pack<T>::size : 1);
    launch(whole ? dispatch_rows_kernel<Pack<T>::size, T> : dispatch_rows_kernel<1, T>, blocks_for(n, threads_for(n)),
           threads_for(n), 0, stream(), x.ptr<T>(), row_of.ptr<std::int32_t>(), choices, row_of.dim(1), width,
           y.ptr<T>(), report());
  });
}

void entry::combine_rows(const Tensor& rows, const Tensor& weights, const Tensor& row_of, Tensor& y) {
  visit_float(y.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const std::int64_t tokens = row_of.dim(0), width = y.dim(1);
    const bool whole = whole_packs<T>(width, rows.ptr<T>(), y.ptr<T>());
    const std::int64_t n = tokens * width / (whole ? Pack<T>::size : 1);
    launch(whole ? combine_rows_kernel<Pack<T>::size, T> : combine_rows_kernel<1, T>, blocks_for(n, threads_for(n)),
           threads_for(n), 0, stream(), rows.ptr<T>(), pointer<T>(weights), row_of.ptr<std::int32_t>(), tokens,
           row_of.dim(1), width, y.ptr<T>(), report());
  });
}

void entry::combine_rows_backward(const Tensor& dy, const Tensor& rows, const Tensor& weights, const Tensor& row_of,
                                  Tensor& drows, Tensor& dweights) {
  visit_float(dy.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const std::int64_t choices = row_of.numel();
    launch(combine_rows_backward_kernel<T>, blocks_for_rows(choices), threads_for_rows(choices), 0, stream(),
           dy.ptr<T>(), pointer<T>(rows), pointer<T>(weights), row_of.ptr<std::int32_t>(), choices, row_of.dim(1),
           dy.dim(1), pointer<T>(drows), pointer<T>(dweights));
  });
}

}  // namespace folio::FOLIO_CUDA
