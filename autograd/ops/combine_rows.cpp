// y[t] = Σ_r w[t, r]·rows[row_of[t, r]], in order of r
// drows[row_of[t, r]] = w[t, r]·dy[t],  dw[t, r] = ⟨dy[t], rows[row_of[t, r]]⟩
#include "autograd/cpu/elementwise.hpp"
#include "autograd/cpu/indices.hpp"
#include "autograd/ops/op.hpp"

namespace folio {

/// Undefined weights stand for ones.
void cpu::combine_rows(const Tensor& rows, const Tensor& weights, const Tensor& row_of, Tensor& y) {
  check_permutation(row_of, "combine_rows");
  const std::int64_t tokens = row_of.dim(0), k = row_of.dim(1), width = y.dim(1);
  const auto* row = row_of.ptr<std::int32_t>();
  visit_float(y.dtype(), [&](auto tag) {
    using T = decltype(tag);
    parallel_ranges(tokens, 1 + detail::task / (k * width + 1), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t t = begin; t < end; ++t) {
        MutableRow<T> out(y.ptr<T>() + t * width, width);
        if (k == 0) out.setZero();
        for (std::int64_t i = t * k; i < (t + 1) * k; ++i) {
          const Row<T> in(rows.ptr<T>() + row[i] * width, width);
          const T weight = weights.defined() ? weights.ptr<T>()[i] : T{1};
          if (i == t * k) {
            out = weight * in;
          } else {
            out += weight * in;
          }
        }
      }
    });
  });
}

/// Fills those of drows and dweights that are defined; `rows` is needed for dweights, `weights` for drows.
void cpu::combine_rows_backward(const Tensor& dy, const Tensor& rows, const Tensor& weights, const Tensor& row_of,
                                Tensor& drows, Tensor& dweights) {
  const std::int64_t tokens = row_of.dim(0), k = row_of.dim(1), width = dy.dim(1);
  const auto* row = row_of.ptr<std::int32_t>();
  visit_float(dy.dtype(), [&](auto tag) {
    using T = decltype(tag);
    parallel_ranges(tokens, 1 + detail::task / (k * width + 1), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin * k; i < end * k; ++i) {
        const Row<T> g(dy.ptr<T>() + i / k * width, width);
        const std::int64_t at = row[i] * width;
        if (dweights.defined()) dweights.ptr<T>()[i] = (g * Row<T>(rows.ptr<T>() + at, width)).sum();
        if (drows.defined()) MutableRow<T>(drows.ptr<T>() + at, width) = weights.ptr<T>()[i] * g;
      }
    });
  });
}

Tensor combine_rows(const Tensor& rows, const Tensor& weights, const Routing& routing) {
  require_same_float(rows, weights, "combine_rows");
  const Tensor& row_of = routing.row_of;  // (tokens, k)
  require(row_of.rank() == 2 && row_of.dtype() == DType::int32 && weights.shape() == row_of.shape() &&
              rows.rank() == 2 && rows.dim(0) == row_of.numel(),
          [&] {
            return "combine_rows: rows " + to_string(rows.shape()) + ", weights " + to_string(weights.shape()) +
                   " and a routing of " + describe(row_of) +
                   " do not fit: needs (tokens·k, d), (tokens, k) and int32 (tokens, k)";
          });
  Tensor y = empty({row_of.dim(0), rows.dim(1)}, rows.options());  // (tokens, d)
  kernel::combine_rows(rows, weights, row_of, y);
  return record(
      {.op = op::combine_rows,
       .inputs = {rows, weights},
       .outputs = {y},
       .saved = {weights.requires_grad() ? rows : Tensor(), rows.requires_grad() ? weights : Tensor(), row_of},
       .backward = [](const Entry& e, const Tensors& dy) -> Tensors {
         Tensor drows, dweights;
         if (e.needs(0)) drows = empty(e.input_shape(0), dy[0].options());
         if (e.needs(1)) dweights = empty(e.input_shape(1), dy[0].options());
         kernel::combine_rows_backward(dy[0], e.saved(0), e.saved(1), e.saved(2), drows, dweights);
         return {drows, dweights};
       }});
}

}  // namespace folio
