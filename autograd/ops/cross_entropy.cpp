// L = 1/n Σ (lse(x) − Σ q·x) over the n rows that count, lse(x) = log Σ e^x, q = (1 − ε)·one-hot(target) + ε/classes
// dx = (softmax(x) − q)·dL/n, and 0 in rows that do not count, which are never read
#include <cmath>
#include <vector>

#include "autograd/cpu/lanes.hpp"
#include "autograd/ops/op.hpp"

namespace folio {
namespace {

/// The rows that count, after checking their targets.
template <class Index>
std::int64_t count_rows(const Tensor& targets, std::int64_t ignored, const Tensor& logits) {
  const Index* target = targets.ptr<Index>();
  const std::int64_t classes = logits.dim(-1);
  std::int64_t count = 0;
  for (std::int64_t row = 0; row < targets.numel(); ++row) {
    if (target[row] == ignored) continue;
    ++count;
    require(target[row] >= 0 && target[row] < classes, [&] {
      return "cross_entropy: target " + std::to_string(target[row]) + " at position " + std::to_string(row) +
             " is neither one of the " + std::to_string(classes) + " classes of logits " + describe(logits) +
             " nor the ignored value " + std::to_string(ignored);
    });
  }
  return count;
}

}  // namespace

/// totals (2, rows) are max x and Σ e^(x − max x), which keep digits that their lse has not where all x are far from 0.
/// share () is 1/n, or 0 if no row counts: what each row's loss is multiplied by.
void cpu::cross_entropy(const Tensor& logits, const Tensor& targets, std::int64_t ignored, double smoothing,
                        Tensor& totals, Tensor& share, Tensor& loss) {
  const std::int64_t classes = logits.dim(-1), rows = targets.numel();
  visit_any_float(logits.dtype(), [&](auto type) {
    visit_index(targets.dtype(), [&](auto tag) {
      using Stored = decltype(type);
      using T = ComputeType<Stored>;
      using Index = decltype(tag);
      const std::int64_t count = count_rows<Index>(targets, ignored, logits);
      std::vector<T> losses(static_cast<std::size_t>(rows), T{0});
      parallel_ranges(rows, rows_per_task(classes), [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t row = begin; row < end; ++row) {
          const Index target = targets.ptr<Index>()[row];
          T &largest = totals.ptr<T>()[row], &total = totals.ptr<T>()[rows + row];
          largest = total = 0;
          if (target == ignored) continue;
          const Stored* x = logits.ptr<Stored>() + row * classes;
          largest = largest_of<T>(x, classes);
          for_lanes(x, classes, -std::numeric_limits<T>::infinity(),
                    [&](Lanes<T> block, std::int64_t) { total += (block - largest).exp().sum(); });
          T matched = convert_to<T>(x[target]) - largest;  // Σ q·x − largest
          if (smoothing != 0) {
            T even = 0;
            for_lanes(x, classes, largest, [&](Lanes<T> block, std::int64_t) { even += (block - largest).sum(); });
            matched += static_cast<T>(smoothing) * (even / static_cast<T>(classes) - matched);
          }
          losses[static_cast<std::size_t>(row)] = std::log(total) - matched;
        }
      });
      double sum = 0;
      for (T value : losses) sum += static_cast<double>(value);
      const double part = count > 0 ? 1 / static_cast<double>(count) : 0;
      *share.ptr<T>() = static_cast<T>(part);
      *loss.ptr<T>() = static_cast<T>(sum * part);
    });
  });
}

void cpu::cross_entropy_backward(const Tensor& dloss, const Tensor& logits, const Tensor& targets, std::int64_t ignored,
                                 double smoothing, const Tensor& totals, const Tensor& share, Tensor& dlogits) {
  const std::int64_t classes = logits.dim(-1), rows = targets.numel();
  visit_any_float(logits.dtype(), [&](auto type) {
    visit_index(targets.dtype(), [&](auto tag) {
      using Stored = decltype(type);
      using T = ComputeType<Stored>;
      using Index = decltype(tag);
      const T each = *dloss.ptr<T>() * *share.ptr<T>();
      const T at_target = static_cast<T>(1 - smoothing) * each;
      const T everywhere = static_cast<T>(smoothing / static_cast<double>(classes)) * each;
      parallel_ranges(rows, rows_per_task(classes), [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t row = begin; row < end; ++row) {
          Stored* out = dlogits.ptr<Stored>() + row * classes;
          const Index target = targets.ptr<Index>()[row];
          if (target == ignored) {
            std::fill_n(out, classes, Stored{});
            continue;
          }
          const T largest = totals.ptr<T>()[row], part = each / totals.ptr<T>()[rows + row];
          for_lanes(logits.ptr<Stored>() + row * classes, classes, T{0}, [&](Lanes<T> block, std::int64_t first) {
            exp_shifted(block, largest);
            block = block * part - everywhere;
            const std::int64_t count = std::min<std::int64_t>(block.size(), classes - first);
            if (target >= first && target < first + count) block[target - first] -= at_target;
            detail::unpack_run(block.data(), count, out + first, 1);
          });
        }
      });
    });
  });
}

Tensor cross_entropy(const Tensor& logits, const Tensor& targets, CrossEntropyOptions options) {
  require_float(logits, "cross_entropy");
  require_index(targets, "cross_entropy");
  Shape rows = logits.shape();
  if (!rows.empty()) rows.erase(rows.size() - 1);
  require(logits.rank() > 0 && targets.shape() == rows, [&] {
    return "cross_entropy: logits " + to_string(logits.shape()) + " and targets " + to_string(targets.shape()) +
           " do not fit: needs (…, classes) and (…)";
  });
  require(options.label_smoothing >= 0 && options.label_smoothing <= 1, [&] {
    return "cross_entropy: label smoothing must be in [0, 1], got " + std::to_string(options.label_smoothing);
  });
  const Options wide = statistics_options(logits);
  Tensor totals = empty({2, targets.numel()}, wide);
  Tensor share = empty({}, wide), loss = empty({}, wide);
  kernel::cross_entropy(logits, targets, options.ignored, options.label_smoothing, totals, share, loss);
  return record({.op = op::cross_entropy,
                 .inputs = {logits},
                 .outputs = {loss},
                 .saved = {logits, targets, totals, share},
                 .parameters = options,
                 .backward = [](const Entry& e, const Tensors& dy) -> Tensors {
                   const auto& options = e.parameter<CrossEntropyOptions>();
                   Tensor dlogits = empty(e.input_shape(0), e.inputs[0]->options);
                   kernel::cross_entropy_backward(dy[0], e.saved(0), e.saved(1), options.ignored,
                                                  options.label_smoothing, e.saved(2), e.saved(3), dlogits);
                   return {dlogits};
                 }});
}

}  // namespace folio
