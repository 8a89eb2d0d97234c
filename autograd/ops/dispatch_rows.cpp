// y[row_of[t, r]] = x[t] for every r      dx[t] = Σ_r dy[row_of[t, r]]
#include "autograd/cpu/elementwise.hpp"
#include "autograd/cpu/indices.hpp"
#include "autograd/ops/op.hpp"

namespace folio {

void cpu::dispatch_rows(const Tensor& x, const Tensor& row_of, Tensor& y) {
  check_permutation(row_of, "dispatch_rows");
  const std::int64_t tokens = row_of.dim(0), k = row_of.dim(1), width = x.dim(1);
  const auto* row = row_of.ptr<std::int32_t>();
  visit_bits(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    parallel_ranges(tokens, 1 + detail::task / (k * width + 1), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin * k; i < end * k; ++i) {
        std::copy_n(x.ptr<T>() + i / k * width, width, y.ptr<T>() + row[i] * width);
      }
    });
  });
}

Tensor dispatch_rows(const Tensor& x, const Routing& routing) {
  require_float(x, "dispatch_rows");
  const Tensor& row_of = routing.row_of;  // (tokens, k)
  require(x.rank() == 2 && row_of.rank() == 2 && row_of.dtype() == DType::int32 && x.dim(0) == row_of.dim(0), [&] {
    return "dispatch_rows: " + describe(x) + " and a routing of " + describe(row_of) +
           " do not fit: needs (tokens, d) and int32 (tokens, k)";
  });
  Tensor y = empty({row_of.numel(), x.dim(1)}, x.options());  // (tokens·k, d)
  kernel::dispatch_rows(x, row_of, y);
  return record({.op = op::dispatch_rows,
                 .inputs = {x},
                 .outputs = {y},
                 .saved = {row_of},
                 .backward = [](const Entry& e, const Tensors& dy) -> Tensors {
                   Tensor dx = empty(e.input_shape(0), dy[0].options());
                   kernel::combine_rows(dy[0], Tensor(), e.saved(0), dx);
                   return {dx};
                 }});
}

}  // namespace folio
