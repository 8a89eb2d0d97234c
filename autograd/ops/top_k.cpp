// y = the k largest of each row of x, with their indices      dx = dy at those indices, 0 elsewhere
// Largest first; ties go to the lowest index; NaN is beyond every number.
#include <vector>

#include "autograd/cpu/elementwise.hpp"
#include "autograd/cpu/select.hpp"
#include "autograd/ops/op.hpp"

namespace folio {

void cpu::top_k(const Tensor& x, Tensor& y, Tensor& index) {
  visit_float(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const std::int64_t n = x.dim(-1), k = y.dim(-1);
    if (y.numel() == 0) return;
    parallel_ranges(y.numel() / k, 1 + detail::task / n, [&](std::int64_t begin, std::int64_t end) {
      std::vector<std::int32_t> order(static_cast<std::size_t>(n));
      for (std::int64_t row = begin; row < end; ++row) {
        const T* in = x.ptr<T>() + row * n;
        best_of(in, n, k, order.data());
        for (std::int64_t i = 0; i < k; ++i) {
          index.ptr<std::int32_t>()[row * k + i] = order[static_cast<std::size_t>(i)];
          y.ptr<T>()[row * k + i] = in[order[static_cast<std::size_t>(i)]];
        }
      }
    });
  });
}

std::pair<Tensor, Tensor> top_k(const Tensor& x, std::int64_t k) {
  require_float(x, "top_k");
  require(x.rank() >= 1 && 0 <= k && k <= x.dim(-1), [&] {
    return "top_k: k = " + std::to_string(k) + " of " + describe(x) + ": needs (…, n) and k of at most n";
  });
  Shape shape = x.shape();
  shape[x.rank() - 1] = k;
  Tensor y = empty(shape, x.options()), index = empty(shape, {DType::int32, x.device()});  // (…, k)
  kernel::top_k(x, y, index);
  y = record({.op = op::top_k,
              .inputs = {x},
              .outputs = {y},
              .saved = {index},
              .backward = [](const Entry& e, const Tensors& dy) -> Tensors {
                Tensor dx = empty(e.input_shape(0), dy[0].options());
                kernel::gather_backward(dy[0], e.saved(0).rank() - 1, e.saved(0), dx);
                return {dx};
              }});
  return {y, index};
}

}  // namespace folio
