// y_e = x_e·W_eᵀ for the rows of each expert, and its two gradients: one product per expert that has rows. Reads x and the
// matrices of those experts once and writes y. The sizes come from the host's copy of the offsets, which route began.
#include "cuda/gemm.hpp"

namespace folio::FOLIO_CUDA {
namespace {

/// product(expert, first row, rows) for each expert.
template <typename F>
void each_expert(std::span<const std::int32_t> offsets, F&& product) {
  for (std::size_t e = 0; e + 1 < offsets.size(); ++e) {
    product(static_cast<std::int64_t>(e), std::int64_t{offsets[e]}, std::int64_t{offsets[e + 1]} - offsets[e]);
  }
}

void check_offsets(std::span<const std::int32_t> at, std::int64_t rows) {
  bool fits = at.front() == 0 && at.back() == rows;
  for (std::size_t e = 0; e + 1 < at.size(); ++e) fits = fits && at[e] <= at[e + 1];
  require(fits, [&] {
    return "expert_matmul: offsets must rise from 0 to the " + std::to_string(rows) + " rows; they end at " +
           std::to_string(at.back());
  });
}

}  // namespace

void entry::expert_matmul(const Tensor& x, const Tensor& weight, const Tensor& offsets, Tensor& y) {
  const std::span<const std::int32_t> at = on_host(offsets);
  check_offsets(at, x.dim(0));
  const std::int64_t in = weight.dim(2), out = weight.dim(1);
  if (in == 0) return entry::fill(0, y);
  visit_float(y.dtype(), [&](auto tag) {
    using T = decltype(tag);
    each_expert(at, [&](std::int64_t e, std::int64_t first, std::int64_t rows) {
      gemm<T>(rows, out, in, {x.ptr<T>() + first * in, in}, {weight.ptr<T>() + e * out * in, in, true},
              y.ptr<T>() + first * out, out);
    });
  });
}

void entry::expert_matmul_dx(const Tensor& dy, const Tensor& weight, const Tensor& offsets, Tensor& dx) {
  const std::int64_t in = weight.dim(2), out = weight.dim(1);
  if (out == 0) return entry::fill(0, dx);
  const std::span<const std::int32_t> at = on_host(offsets);
  visit_float(dx.dtype(), [&](auto tag) {
    using T = decltype(tag);
    each_expert(at, [&](std::int64_t e, std::int64_t first, std::int64_t rows) {
      gemm<T>(rows, in, out, {dy.ptr<T>() + first * out, out}, {weight.ptr<T>() + e * out * in, in},
              dx.ptr<T>() + first * in, in);
    });
  });
}

void entry::expert_matmul_dw(const Tensor& dy, const Tensor& x, const Tensor& offsets, Tensor& dweight) {
  const std::int64_t in = dweight.dim(2), out = dweight.dim(1);
  const std::span<const std::int32_t> at = on_host(offsets);
  visit_float(dweight.dtype(), [&](auto tag) {
    using T = decltype(tag);
    each_expert(at, [&](std::int64_t e, std::int64_t first, std::int64_t rows) {
      T* const dw = dweight.ptr<T>() + e * out * in;
      if (rows == 0) {
        check(cudaMemsetAsync(dw, 0, static_cast<std::size_t>(out * in) * sizeof(T), stream()));
      } else {
        gemm<T>(out, in, rows, {dy.ptr<T>() + first * out, out, true}, {x.ptr<T>() + first * in, in}, dw, in);
      }
    });
  });
}

}  // namespace folio::FOLIO_CUDA
