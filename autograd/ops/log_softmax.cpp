// y = x − max x − log Σ e^(x − max x) along one dimension      dx = dy − e^y·Σ dy
// A row with NaN or +∞ in it, or with nothing but −∞, is NaN; −∞ among finite values stays −∞.
#include <cmath>

#include "autograd/cpu/lanes.hpp"
#include "autograd/ops/op.hpp"

namespace folio {

void cpu::log_softmax(const Tensor& x, Tensor& y) {
  if (x.numel() == 0) return;
  const std::int64_t width = x.dim(-1);
  visit_float(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    parallel_ranges(x.numel() / width, rows_per_task(width), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        const Row<T> in(x.ptr<T>() + row * width, width);
        const T largest = in.maxCoeff();
        T total = 0;
        for_lanes(in.data(), width, -std::numeric_limits<T>::infinity(), [&](Lanes<T> block, std::int64_t) {
          exp_shifted(block, largest);
          total += block.sum();
        });
        MutableRow<T>(y.ptr<T>() + row * width, width) = (in - largest) - std::log(total);
      }
    });
  });
}

void cpu::log_softmax_backward(const Tensor& dy, const Tensor& y, Tensor& dx) {
  if (y.numel() == 0) return;
  const std::int64_t width = y.dim(-1);
  visit_float(y.dtype(), [&](auto tag) {
    using T = decltype(tag);
    parallel_ranges(y.numel() / width, rows_per_task(width), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        const T* g = dy.ptr<T>() + row * width;
        T* out = dx.ptr<T>() + row * width;
        const T total = Row<T>(g, width).sum();
        for_lanes(y.ptr<T>() + row * width, width, T{0}, [&](Lanes<T> block, std::int64_t first) {
          exp_shifted(block, T{0});
          const auto length = std::min<std::int64_t>(block.size(), width - first);
          MutableRow<T>(out + first, length) = Row<T>(g + first, length) - block.head(length) * total;
        });
      }
    });
  });
}

Tensor log_softmax(const Tensor& x, int dim) {
  require_float(x, "log_softmax");
  const int d = normalize_dim(dim, x.rank(), "log_softmax");
  if (d != x.rank() - 1) return transpose(log_softmax(transpose(x, d, -1)), d, -1);
  Tensor y = empty_like(x);
  kernel::log_softmax(x, y);
  return record({.op = op::log_softmax,
                 .inputs = {x},
                 .outputs = {y},
                 .saved = {y},
                 .backward = [](const Entry& e, const Tensors& dy) -> Tensors {
                   Tensor dx = empty_like(e.saved(0));
                   kernel::log_softmax_backward(dy[0], e.saved(0), dx);
                   return {dx};
                 }});
}

}  // namespace folio
