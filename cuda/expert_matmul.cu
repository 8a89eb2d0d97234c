// y_e = x_e·W_eᵀ for the rows of each expert, and its two gradients: one product per expert that has rows, all of them in
// one call of cuBLAS where it has one for them. Reads x and the matrices of those experts once and writes y. The sizes come
// from the host's copy of the offsets, which route began.
#include "autograd/expert_offsets.hpp"
#include "cuda/gemm.hpp"

namespace folio::FOLIO_CUDA {
namespace {

/// One product for each expert that has rows, all of them together: product(expert, first row, rows).
template <typename T, typename Out, typename F>
void multiply_each(std::span<const std::int32_t> offsets, Device device, F&& product) {
  std::vector<MatrixProduct<T, Out>> products;
  for (std::size_t e = 0; e + 1 < offsets.size(); ++e) {
    const std::int64_t first = offsets[e], rows = offsets[e + 1] - first;
    if (rows > 0) products.push_back(product(static_cast<std::int64_t>(e), first, rows));
  }
  gemm_each<T, Out>(products, device);
}

}  // namespace

void entry::expert_matmul(const Tensor& x, const Tensor& weight, const Tensor& offsets, Tensor& y) {
  const std::span<const std::int32_t> at = on_host(offsets);
  detail::check_expert_offsets(at, x.dim(0));
  const std::int64_t in = weight.dim(2), out = weight.dim(1);
  if (in == 0) return entry::fill(0, y);
  if (out == 0) return;
  visit_product(x.dtype(), y.dtype(), [&](auto operands, auto result) {
    using T = decltype(operands);
    using Out = decltype(result);
    multiply_each<T, Out>(at, y.device(), [&](std::int64_t e, std::int64_t first, std::int64_t rows) {
      return MatrixProduct<T, Out>{rows,
                                   out,
                                   in,
                                   {x.ptr<T>() + first * in, in},
                                   {weight.ptr<T>() + e * out * in, in, true},
                                   y.ptr<Out>() + first * out,
                                   out};
    });
  });
}

void entry::expert_matmul_dx(const Tensor& dy, const Tensor& weight, const Tensor& offsets, Tensor& dx) {
  const std::int64_t in = weight.dim(2), out = weight.dim(1);
  if (out == 0) return entry::fill(0, dx);
  if (in == 0) return;
  const std::span<const std::int32_t> at = on_host(offsets);
  visit_product(dy.dtype(), dx.dtype(), [&](auto operands, auto result) {
    using T = decltype(operands);
    using Out = decltype(result);
    multiply_each<T, Out>(at, dx.device(), [&](std::int64_t e, std::int64_t first, std::int64_t rows) {
      return MatrixProduct<T, Out>{rows,
                                   in,
                                   out,
                                   {dy.ptr<T>() + first * out, out},
                                   {weight.ptr<T>() + e * out * in, in},
                                   dx.ptr<Out>() + first * in,
                                   in};
    });
  });
}

void entry::expert_matmul_dw(const Tensor& dy, const Tensor& x, const Tensor& offsets, Tensor& dweight) {
  const std::int64_t in = dweight.dim(2), out = dweight.dim(1);
  if (in == 0 || out == 0) return;
  const std::span<const std::int32_t> at = on_host(offsets);
  visit_product(dy.dtype(), dweight.dtype(), [&](auto operands, auto result) {
    using T = decltype(operands);
    using Out = decltype(result);
    Out* const dw = dweight.ptr<Out>();
    for (std::size_t e = 0; e + 1 < at.size(); ++e) {  // an expert without rows
      if (at[e] != at[e + 1]) continue;
      check(cudaMemsetAsync(dw + static_cast<std::int64_t>(e) * out * in, 0,
                            static_cast<std::size_t>(out * in) * sizeof(Out), stream()));
    }
    multiply_each<T, Out>(at, dweight.device(), [&](std::int64_t e, std::int64_t first, std::int64_t rows) {
      return MatrixProduct<T, Out>{
          out, in, rows, {dy.ptr<T>() + first * out, out, true}, {x.ptr<T>() + first * in, in}, dw + e * out * in, in};
    });
  });
}

}  // namespace folio::FOLIO_CUDA
