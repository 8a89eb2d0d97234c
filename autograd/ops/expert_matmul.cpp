// y_e = x_e·W_eᵀ for the rows of each expert e      dx_e = dy_e·W_e,  dW_e = dy_eᵀ·x_e, zero where there are no rows
#include <vector>

#include "autograd/cpu/gemm.hpp"
#include "autograd/expert_offsets.hpp"
#include "autograd/ops/op.hpp"

namespace folio {
namespace {

template <class T>
cpu::Matrix<const T> rows_from(const Tensor& x, std::int64_t row) {
  return {x.ptr<T>() + row * x.dim(1), x.dim(1), 1};
}
/// Expert e's matrix (out, in).
template <class T, class Element = const T>
cpu::Matrix<Element> matrix_of(const Tensor& weight, std::int64_t e) {
  return {weight.ptr<T>() + e * weight.dim(1) * weight.dim(2), weight.dim(2), 1};
}

/// One product per expert, all of them shared out together: product(expert, first row, rows).
template <class T, class Out, class MakeProduct>
void multiply_each(const Tensor& offsets, MakeProduct&& product) {
  const auto* at = offsets.ptr<std::int32_t>();
  std::vector<cpu::Product<T, Out>> products;
  for (std::int64_t e = 0; e + 1 < offsets.numel(); ++e) products.push_back(product(e, at[e], at[e + 1] - at[e]));
  cpu::multiply_all<T, Out>(products);
}

}  // namespace

void cpu::expert_matmul(const Tensor& x, const Tensor& weight, const Tensor& offsets, Tensor& y) {
  detail::check_expert_offsets({offsets.ptr<std::int32_t>(), static_cast<std::size_t>(offsets.numel())}, x.dim(0));
  const std::int64_t in = weight.dim(2), out = weight.dim(1);
  visit_product(x.dtype(), y.dtype(), [&](auto operands, auto result) {
    using T = decltype(operands);
    using Out = decltype(result);
    multiply_each<T, Out>(offsets, [&](std::int64_t e, std::int64_t row, std::int64_t rows) -> Product<T, Out> {
      return {rows,
              out,
              in,
              rows_from<T>(x, row),
              matrix_of<T>(weight, e).transposed(),
              {y.ptr<Out>() + row * out, out, 1}};
    });
  });
}

void cpu::expert_matmul_dx(const Tensor& dy, const Tensor& weight, const Tensor& offsets, Tensor& dx) {
  const std::int64_t in = weight.dim(2), out = weight.dim(1);
  visit_product(dy.dtype(), dx.dtype(), [&](auto operands, auto result) {
    using T = decltype(operands);
    using Out = decltype(result);
    multiply_each<T, Out>(offsets, [&](std::int64_t e, std::int64_t row, std::int64_t rows) -> Product<T, Out> {
      return {rows, in, out, rows_from<T>(dy, row), matrix_of<T>(weight, e), {dx.ptr<Out>() + row * in, in, 1}};
    });
  });
}

void cpu::expert_matmul_dw(const Tensor& dy, const Tensor& x, const Tensor& offsets, Tensor& dweight) {
  const std::int64_t in = dweight.dim(2), out = dweight.dim(1);
  visit_product(dy.dtype(), dweight.dtype(), [&](auto operands, auto result) {
    using T = decltype(operands);
    using Out = decltype(result);
    multiply_each<T, Out>(offsets, [&](std::int64_t e, std::int64_t row, std::int64_t rows) -> Product<T, Out> {
      return {out, in, rows, rows_from<T>(dy, row).transposed(), rows_from<T>(x, row), matrix_of<Out, Out>(dweight, e)};
    });
  });
}

Tensor expert_matmul(const Tensor& x, const Tensor& weight, const Tensor& offsets) {
  require_weight(x, weight, "expert_matmul");
  const bool fits = x.rank() == 2 && weight.rank() == 3 && x.dim(1) == weight.dim(2) && offsets.defined() &&
                    offsets.dtype() == DType::int32 && offsets.shape() == Shape{weight.dim(0) + 1};
  require(fits, [&] {
    return "expert_matmul: x " + to_string(x.shape()) + ", weight " + to_string(weight.shape()) + " and offsets " +
           describe(offsets) + " do not fit: needs (rows, in), (experts, out, in) and int32 (experts + 1)";
  });
  Tensor y = empty({x.dim(0), weight.dim(1)}, x.options());  // (rows, out)
  const Tensor w = weight_for(x, weight);
  kernel::expert_matmul(x, w, offsets, y);
  return record({.op = op::expert_matmul,
                 .inputs = {x, weight},
                 .outputs = {y},
                 .saved = {weight.requires_grad() ? x : Tensor(), x.requires_grad() ? w : Tensor(), offsets},
                 .backward = [](const Entry& e, const Tensors& dy) -> Tensors {
                   Tensor dx, dweight;
                   if (e.needs(0)) {
                     dx = empty(e.input_shape(0), dy[0].options());
                     kernel::expert_matmul_dx(dy[0], e.saved(1), e.saved(2), dx);
                   }
                   if (e.needs(1)) {
                     dweight = empty(e.input_shape(1), e.inputs[1]->options);
                     kernel::expert_matmul_dw(dy[0], e.saved(0), e.saved(2), dweight);
                   }
                   return {dx, dweight};
                 }});
}

}  // namespace folio
