// y = e^(x − max x) / Σ e^(x − max x) along one dimension      dx = y·(dy − Σ dy·y)
// A row with NaN or +∞ in it, or with nothing but −∞, is NaN; −∞ among finite values is exactly 0.
#include "autograd/cpu/lanes.hpp"
#include "autograd/ops/op.hpp"

namespace folio {

void cpu::softmax(const Tensor& x, Tensor& y) {
  if (x.numel() == 0) return;
  const std::int64_t width = x.dim(-1);
  visit_float(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    parallel_ranges(x.numel() / width, rows_per_task(width), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row)
        softmax_row(x.ptr<T>() + row * width, width, y.ptr<T>() + row * width);
    });
  });
}

void cpu::softmax_backward(const Tensor& dy, const Tensor& y, Tensor& dx) {
  if (y.numel() == 0) return;
  const std::int64_t width = y.dim(-1);
  visit_float(y.dtype(), [&](auto tag) {
    using T = decltype(tag);
    parallel_ranges(y.numel() / width, rows_per_task(width), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        const Row<T> p(y.ptr<T>() + row * width, width), g(dy.ptr<T>() + row * width, width);
        MutableRow<T>(dx.ptr<T>() + row * width, width) = p * (g - (g * p).sum());
      }
    });
  });
}

Tensor softmax(const Tensor& x, int dim) {
  require_float(x, "softmax");
  const int d = normalize_dim(dim, x.rank(), "softmax");
  if (d != x.rank() - 1) return transpose(softmax(transpose(x, d, -1)), d, -1);
  Tensor y = empty_like(x);
  kernel::softmax(x, y);
  return record({.op = op::softmax,
                 .inputs = {x},
                 .outputs = {y},
                 .saved = {y},
                 .backward = [](const Entry& e, const Tensors& dy) -> Tensors {
                   Tensor dx = empty_like(e.saved(0));
                   kernel::softmax_backward(dy[0], e.saved(0), dx);
                   return {dx};
                 }});
}

}  // namespace folio
