// y[t] = Σ_r w[t, r]·rows[row_of[t, r]], in order of r
// drows[row_of[t, r]] = w[t, r]·dy[t],  dw[t, r] = ⟨dy[t], rows[row_of[t, r]]⟩
#include "autograd/cpu/elementwise.hpp"
#include "autograd/cpu/indices.hpp"
#include "autograd/ops/op.hpp"

namespace folio {

namespace {

/// The i-th weight as T; undefined weights stand for ones.
template <class T>
auto weights_of(const Tensor& weights) {
  return [all = cpu::detail::Elements<T>(weights), given = weights.defined()](std::int64_t i) {
    T buffer = 1;
    return given ? *all.read(i, 1, 1, &buffer) : buffer;
  };
}

}  // namespace

/// Undefined weights stand for ones.
void cpu::combine_rows(const Tensor& rows, const Tensor& weights, const Tensor& row_of, Tensor& y) {
  check_permutation(row_of, "combine_rows");
  const std::int64_t tokens = row_of.dim(0), k = row_of.dim(1), width = y.dim(1);
  const auto* row = row_of.ptr<std::int32_t>();
  visit_compute(y.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const detail::Elements<T> from(rows), to(y);
    const auto weight_of = weights_of<T>(weights);
    parallel_ranges(tokens, 1 + detail::task / (k * width + 1), [&](std::int64_t begin, std::int64_t end) {
      RowBuffer<T> in_buffer(width), out_buffer(width);
      for (std::int64_t t = begin; t < end; ++t) {
        T* target = to.target(t * width, 1, out_buffer.data());
        MutableRow<T> out(target, width);
        if (k == 0) out.setZero();
        for (std::int64_t i = t * k; i < (t + 1) * k; ++i) {
          const Row<T> in(from.read(row[i] * width, 1, width, in_buffer.data()), width);
          if (i == t * k) {
            out = weight_of(i) * in;
          } else {
            out += weight_of(i) * in;
          }
        }
        to.write(target, t * width, 1, width);
      }
    });
  });
}

/// Fills those of drows and dweights that are defined; `rows` is needed for dweights, `weights` for drows.
void cpu::combine_rows_backward(const Tensor& dy, const Tensor& rows, const Tensor& weights, const Tensor& row_of,
                                Tensor& drows, Tensor& dweights) {
  const std::int64_t tokens = row_of.dim(0), k = row_of.dim(1), width = dy.dim(1);
  const auto* row = row_of.ptr<std::int32_t>();
  visit_compute(dy.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const detail::Elements<T> upstream(dy), from(rows), to(drows), to_weights(dweights);
    const auto weight_of = weights_of<T>(weights);
    parallel_ranges(tokens, 1 + detail::task / (k * width + 1), [&](std::int64_t begin, std::int64_t end) {
      RowBuffer<T> g_buffer(width), buffer(width);
      for (std::int64_t i = begin * k; i < end * k; ++i) {
        const Row<T> g(upstream.read(i / k * width, 1, width, g_buffer.data()), width);
        const std::int64_t at = row[i] * width;
        if (dweights.defined()) {
          T along = (g * Row<T>(from.read(at, 1, width, buffer.data()), width)).sum();
          T* target = to_weights.target(i, 1, &along);
          *target = along;
          to_weights.write(target, i, 1, 1);
        }
        if (drows.defined()) {
          T* target = to.target(at, 1, buffer.data());
          MutableRow<T>(target, width) = weight_of(i) * g;
          to.write(target, at, 1, width);
        }
      }
    });
  });
}

Tensor combine_rows(const Tensor& rows, const Tensor& weights, const Routing& routing) {
  require_weight(rows, weights, "combine_rows");
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
         if (e.needs(1)) dweights = empty(e.input_shape(1), e.inputs[1]->options);
         kernel::combine_rows_backward(dy[0], e.saved(0), e.saved(1), e.saved(2), drows, dweights);
         return {drows, dweights};
       }});
}

}  // namespace folio
