// max, min and top-k. Ties go to the lowest index; NaN is beyond every number. 16-bit floats are compared as float32,
// which changes none.
#include "cuda/select.hpp"

namespace folio::FOLIO_CUDA {
namespace {

/// One warp per row (inner = 1). Reads rows·n·sizeof(T) bytes and writes little where n is large.
template <typename T>
__global__ void __launch_bounds__(block_threads, four_resident)
    extreme_of_rows(const T* x, std::int64_t rows, std::int64_t n, Accumulator<T> sign, T* y, std::int32_t* index) {
  using A = Accumulator<T>;
  const std::int64_t row = warp_index();
  if (row >= rows) return;
  Candidate<A> best = {A{0}, -1};
  const auto consider = [&](std::int64_t c, A value) {
    const Candidate<A> here = {sign * value, static_cast<std::int32_t>(c)};
    if (precedes(here, best)) best = here;
  };
  each_of_row(n, consider, x + row * n);
  best = warp_first(best);
  if (lane_index() != 0) return;
  y[row] = narrow<T>(sign * best.value);
  index[row] = best.index;
}

/// One thread per pack of V columns (inner > 1). Reads outer·n·inner·sizeof(T) bytes and writes little where n is
/// large.
template <int V, typename T>
__global__ void __launch_bounds__(block_threads)
    extreme_of_columns(const T* x, std::int64_t outer, std::int64_t n, std::int64_t inner, Accumulator<T> sign, T* y,
                       std::int32_t* index) {
  using A = Accumulator<T>;
  const std::int64_t i = thread_index() * V;
  if (i >= outer * inner) return;
  const T* column = x + i / inner * n * inner + i % inner;
  Candidate<A> best[V];
  for (int j = 0; j < V; ++j) best[j] = {A{0}, -1};
  for (std::int32_t r = 0; r < n; ++r) {
    const auto row = Columns<T, V>::load(column + r * inner);
    for (int j = 0; j < V; ++j) {
      const Candidate<A> here = {sign * row.value[j], r};
      if (precedes(here, best[j])) best[j] = here;
    }
  }
  Columns<T, V> values;
  Pack<std::int32_t, V> places;
  for (int j = 0; j < V; ++j) {
    values.value[j] = sign * best[j].value;
    places[j] = best[j].index;
  }
  values.store(y + i);
  store_pack(index + i, places);
}

/// One warp per row. Each of k rounds takes the first candidate after the one before. Reads rows·n·sizeof(T) bytes,
/// again k − 1 times from the cache, and writes k·(sizeof(T) + 4) per row.
template <typename T>
__global__ void __launch_bounds__(block_threads, four_resident)
    top_k_kernel(const T* x, std::int64_t rows, std::int64_t n, std::int64_t k, T* y, std::int32_t* index) {
  using A = Accumulator<T>;
  const std::int64_t row = warp_index();
  if (row >= rows) return;
  Candidate<A> before = {A{0}, -1};
  for (std::int64_t round = 0; round < k; ++round) {
    Candidate<A> best = {A{0}, -1};
    const auto consider = [&](std::int64_t c, A value) {
      const Candidate<A> here = {value, static_cast<std::int32_t>(c)};
      if ((round == 0 || precedes(before, here)) && precedes(here, best)) best = here;
    };
    each_of_row(n, consider, x + row * n);
    before = warp_first(best);
    if (lane_index() == 0) {
      y[row * k + round] = narrow<T>(before.value);
      index[row * k + round] = before.index;
    }
  }
}

}  // namespace

void entry::extreme(const Tensor& x, std::int64_t outer, std::int64_t n, std::int64_t inner, Extreme which, Tensor& y,
                    Tensor& index) {
  visit_stored(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const Accumulator<T> sign = which == Extreme::max ? 1 : -1;
    if (inner == 1) {
      launch(extreme_of_rows<T>, blocks_for_rows(outer), threads_for_rows(outer), 0, stream(), x.ptr<T>(), outer, n,
             sign, y.ptr<T>(), index.ptr<std::int32_t>());
    } else {
      constexpr int V = std::min(Pack<T>::size, Pack<std::int32_t>::size);
      const bool whole = whole_packs<V>({inner}, x.ptr<T>(), y.ptr<T>(), index.ptr<std::int32_t>());
      const std::int64_t threads = whole ? outer * inner / V : outer * inner;
      launch(whole ? extreme_of_columns<V, T> : extreme_of_columns<1, T>, blocks_for(threads, threads_for(threads)),
             threads_for(threads), 0, stream(), x.ptr<T>(), outer, n, inner, sign, y.ptr<T>(),
             index.ptr<std::int32_t>());
    }
  });
}

void entry::top_k(const Tensor& x, Tensor& y, Tensor& index) {
  if (y.numel() == 0) return;
  visit_stored(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const std::int64_t n = x.dim(-1), k = y.dim(-1), rows = y.numel() / k;
    launch(top_k_kernel<T>, blocks_for_rows(rows), threads_for_rows(rows), 0, stream(), x.ptr<T>(), rows, n, k,
           y.ptr<T>(), index.ptr<std::int32_t>());
  });
}

}  // namespace folio::FOLIO_CUDA
