// The mean of lse(x) − Σ q·x over the rows that count. All but the logits and their gradient is float32 where they are
// of 16 bits.
// The count of rows stays on the device, so nothing waits.
#include "cuda/softmax.hpp"

namespace folio::FOLIO_CUDA {
namespace {

/// One warp per row: max x and Σ e^(x − max x), its loss and whether it counts; totals and per_row are (2, rows). Reads the logits,
/// rows·classes·sizeof(T) bytes; the second look that label smoothing takes is from the cache where a row fits.
template <typename T, typename Index>
__global__ void __launch_bounds__(block_threads)
    cross_entropy_rows(const T* logits, const Index* targets, std::int64_t rows, std::int64_t classes,
                       std::int64_t ignored, double smoothing, Accumulator<T>* totals, double* per_row, Report bad) {
  using A = Accumulator<T>;
  const std::int64_t row = warp_index();
  if (row >= rows) return;
  const bool first = lane_index() == 0;
  const std::int64_t target = targets[row];
  if (target == ignored) {
    if (first) totals[row] = totals[rows + row] = 0, per_row[row] = per_row[rows + row] = 0;
    return;
  }
  const bool legal = target >= 0 && target < classes;
  if (!legal && first) complain(bad, Finder::cross_entropy, row);
  const T* x = logits + row * classes;
  const RowTotal<A> sum = row_total(x, classes);
  A matched = legal ? wide(x[target]) - sum.largest : static_cast<A>(NAN);
  if (smoothing != 0) {
    A even = 0;
    each_of_row(
        classes, [&](std::int64_t, A value) { even += value - sum.largest; }, x);
    even = warp_sum(even) / static_cast<A>(classes);
    matched += static_cast<A>(smoothing) * (even - matched);
  }
  if (!first) return;
  totals[row] = sum.largest, totals[rows + row] = sum.total;
  per_row[row] = log(sum.total) - matched, per_row[rows + row] = 1;
}

/// Reads and writes 16 + 2·sizeof(T) bytes: the floor is the launch.
template <typename T>
__global__ void __launch_bounds__(warp_threads) cross_entropy_finish(const double* sums, T* share, T* loss) {
  if (thread_index() != 0) return;
  const double part = sums[1] > 0 ? 1 / sums[1] : 0;
  *share = static_cast<T>(part);
  *loss = static_cast<T>(sums[0] * part);
}

/// One warp per row. Reads the logits and writes their gradient, 2·rows·classes·sizeof(T) bytes.
template <typename T, typename Index>
__global__ void __launch_bounds__(block_threads, four_resident)
    cross_entropy_backward_rows(const Accumulator<T>* dloss, const T* logits, const Index* targets, std::int64_t rows,
                                std::int64_t classes, std::int64_t ignored, double smoothing,
                                const Accumulator<T>* totals, const Accumulator<T>* share, T* dlogits) {
  using A = Accumulator<T>;
  const std::int64_t row = warp_index();
  if (row >= rows) return;
  const std::int64_t target = targets[row];
  T* out = dlogits + row * classes;
  if (target == ignored) {
    return map_row(
        classes, [](std::int64_t) { return A{0}; }, out);
  }
  const A each = *dloss * *share, largest = totals[row], part = each / totals[rows + row];
  const A at_target = static_cast<A>(1 - smoothing) * each;
  const A everywhere = static_cast<A>(smoothing / static_cast<double>(classes)) * each;
  const auto derivative = [&](std::int64_t c, A value) {
    const A dx = exp(value - largest) * part - everywhere;
    return c == target ? dx - at_target : dx;
  };
  map_row(classes, derivative, out, logits + row * classes);
}

template <typename F>
void visit_both(const Tensor& logits, const Tensor& targets, F&& f) {
  visit_stored(logits.dtype(), [&](auto type) { visit_index(targets.dtype(), [&](auto tag) { f(type, tag); }); });
}

}  // namespace

void entry::cross_entropy(const Tensor& logits, const Tensor& targets, std::int64_t ignored, double smoothing,
                          Tensor& totals, Tensor& share, Tensor& loss) {
  const std::int64_t classes = logits.dim(-1), rows = targets.numel();
  const Options doubles = {DType::float64, logits.device()};
  const Tensor per_row = empty({2, rows}, doubles), sums = empty({2}, doubles);
  visit_both(logits, targets, [&](auto type, auto tag) {
    using T = decltype(type);
    using A = Accumulator<T>;
    using Index = decltype(tag);
    launch(cross_entropy_rows<T, Index>, blocks_for_rows(rows), threads_for_rows(rows), 0, stream(), logits.ptr<T>(),
           targets.ptr<Index>(), rows, classes, ignored, smoothing, totals.ptr<A>(), per_row.ptr<double>(), report());
    sum_rows(per_row.ptr<double>(), 2, rows, sums.ptr<double>(), logits.device());
    launch(cross_entropy_finish<A>, 1, warp_threads, 0, stream(), sums.ptr<double>(), share.ptr<A>(), loss.ptr<A>());
  });
}

void entry::cross_entropy_backward(const Tensor& dloss, const Tensor& logits, const Tensor& targets,
                                   std::int64_t ignored, double smoothing, const Tensor& totals, const Tensor& share,
                                   Tensor& dlogits) {
  const std::int64_t classes = logits.dim(-1), rows = targets.numel();
  visit_both(logits, targets, [&](auto type, auto tag) {
    using T = decltype(type);
    using A = Accumulator<T>;
    using Index = decltype(tag);
    launch(cross_entropy_backward_rows<T, Index>, blocks_for_rows(rows), threads_for_rows(rows), 0, stream(),
           dloss.ptr<A>(), logits.ptr<T>(), targets.ptr<Index>(), rows, classes, ignored, smoothing, totals.ptr<A>(),
           share.ptr<A>(), dlogits.ptr<T>());
  });
}

}  // namespace folio::FOLIO_CUDA
