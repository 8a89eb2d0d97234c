// y[…, i, …] = x[…, index[…, i, …], …]      dx[…, index[…, i, …], …] += dy[…, i, …] in order of i
#include "autograd/cpu/elementwise.hpp"
#include "autograd/cpu/indices.hpp"
#include "autograd/ops/op.hpp"

namespace folio {
namespace {

/// Calls f(element of x, element of index) for every element of index, in parallel over everything but `dim` and, where it
/// is another one, the last dimension: no two tasks meet in one element of x.
template <class Index, class F>
void for_each_chosen(const Tensor& x, int dim, const Tensor& index, F&& f) {
  if (index.numel() == 0) return;
  const Shape& shape = index.shape();
  const int last = shape.size() - 1;
  const std::int64_t along = shape[dim], inner = dim == last ? 1 : shape[last];
  const Strides x_strides = contiguous_strides(x.shape()), index_strides = contiguous_strides(shape);
  const auto* choice = index.ptr<Index>();
  cpu::parallel_ranges(index.numel() / (along * inner), 1 + cpu::detail::task / (along * inner),
                       [&](std::int64_t begin, std::int64_t end) {
                         for (std::int64_t outer = begin; outer < end; ++outer) {
                           std::int64_t rest = outer, x_base = 0, index_base = 0;
                           for (int d = last; d >= 0; --d) {
                             if (d == dim || d == last) continue;
                             x_base += rest % shape[d] * x_strides[d];
                             index_base += rest % shape[d] * index_strides[d];
                             rest /= shape[d];
                           }
                           for (std::int64_t i = 0; i < along; ++i) {
                             for (std::int64_t j = 0; j < inner; ++j) {
                               const std::int64_t from = index_base + i * index_strides[dim] + j;
                               f(x_base + choice[from] * x_strides[dim] + j, from);
                             }
                           }
                         }
                       });
}

}  // namespace

void cpu::gather(const Tensor& x, int dim, const Tensor& index, Tensor& y) {
  check_indices(index, x.dim(dim), "gather", x);
  visit_bits(x.dtype(), [&](auto type) {
    visit_index(index.dtype(), [&](auto tag) {
      using T = decltype(type);
      for_each_chosen<decltype(tag)>(
          x, dim, index, [in = x.ptr<T>(), out = y.ptr<T>()](std::int64_t of_x, std::int64_t i) { out[i] = in[of_x]; });
    });
  });
}

void cpu::gather_backward(const Tensor& dy, int dim, const Tensor& index, Tensor& dx) {
  visit_float(dx.dtype(), [&](auto type) {
    visit_index(index.dtype(), [&](auto tag) {
      using T = decltype(type);
      MutableRow<T>(dx.ptr<T>(), dx.numel()).setZero();
      for_each_chosen<decltype(tag)>(
          dx, dim, index,
          [in = dy.ptr<T>(), out = dx.ptr<T>()](std::int64_t of_x, std::int64_t i) { out[of_x] += in[i]; });
    });
  });
}

Tensor gather(const Tensor& x, int dim, const Tensor& index) {
  require_float(x, "gather");
  require_index(index, "gather");
  const int d = normalize_dim(dim, x.rank(), "gather");
  bool fits = index.rank() == x.rank();
  for (int i = 0; fits && i < x.rank(); ++i) fits = i == d || index.shape()[i] <= x.shape()[i];
  require(fits, [&] {
    return "gather: index " + to_string(index.shape()) + " does not fit " + describe(x) +
           ": needs its rank, and extents no larger except along dimension " + std::to_string(dim);
  });
  Tensor y = empty(index.shape(), x.options());
  kernel::gather(x, d, index, y);
  return record({.op = op::gather,
                 .inputs = {x},
                 .outputs = {y},
                 .saved = {index},
                 .parameters = d,
                 .backward = [](const Entry& e, const Tensors& dy) -> Tensors {
                   Tensor dx = empty(e.input_shape(0), dy[0].options());
                   kernel::gather_backward(dy[0], e.parameter<int>(), e.saved(0), dx);
                   return {dx};
                 }});
}

}  // namespace folio
