// Y = A·B by cuBLAS; broadcast leading dimensions become batches of stride 0.
#include "cuda/gemm.hpp"

namespace folio::FOLIO_CUDA {
namespace {

/// Whether the last two dimensions are rows of packed elements; extents of 1 have no stride worth the name.
bool is_row_major(const Tensor& x) {
  const std::int64_t rows = x.dim(-2), columns = x.dim(-1);
  const std::int64_t row = x.strides()[x.rank() - 2], column = x.strides()[x.rank() - 1];
  return (column == 1 || columns <= 1) && (row >= columns || rows <= 1);
}

Tensor swapped(const Tensor& x) { return x.transpose(-1, -2); }

/// x, or a copy that cuBLAS can read in place.
Tensor readable(const Tensor& x) { return is_row_major(x) || is_row_major(swapped(x)) ? x : x.clone(); }

template <typename T>
Factor<T> as_factor(const Tensor& x) {
  const bool straight = is_row_major(x);
  const Tensor rows = straight ? x : swapped(x);
  const std::int64_t stride =
      rows.dim(-2) > 1 ? rows.strides()[rows.rank() - 2] : std::max<std::int64_t>(rows.dim(-1), 1);
  return {x.ptr<T>(), stride, !straight};
}

Shape leading(const Shape& shape) { return Dims(std::span(shape.begin(), static_cast<std::size_t>(shape.size() - 2))); }

}  // namespace

void entry::matmul(const Tensor& a, const Tensor& b, bool accumulate, Tensor& y) {
  const std::int64_t m = y.dim(-2), n = y.dim(-1), k = a.dim(-1);
  if (y.numel() == 0) return;
  if (k == 0) {
    if (!accumulate) entry::fill(0, y);
    return;
  }
  const Tensor left = readable(a.detach()), right = readable(b.detach());
  visit_product(a.dtype(), y.dtype(), [&](auto in, auto result) {
    using T = decltype(in);
    using Out = decltype(result);
    Factor<T> fa = as_factor<T>(left), fb = as_factor<T>(right);
    const Shape batch = leading(y.shape());
    const Strides a_strides = broadcast_strides(leading(left.shape()), left.strides(), batch);
    const Strides b_strides = broadcast_strides(leading(right.shape()), right.strides(), batch);
    // The innermost run of dimensions with one stride in both is cuBLAS's batch; the others are a loop.
    int outer = batch.size();
    std::int64_t inner = 1;
    while (outer > 0) {
      const int d = outer - 1;
      if (inner > 1 && batch[d] > 1 &&
          (a_strides[d] != fa.batch_stride * inner || b_strides[d] != fb.batch_stride * inner))
        break;
      if (inner == 1) fa.batch_stride = a_strides[d], fb.batch_stride = b_strides[d];
      inner *= batch[d];
      --outer;
    }
    const std::int64_t products = numel(batch) / inner;
    for (std::int64_t i = 0; i < products; ++i) {
      Factor<T> ai = fa, bi = fb;
      std::int64_t rest = i;
      for (int d = outer - 1; d >= 0; rest /= batch[d--]) {
        ai.data += rest % batch[d] * a_strides[d];
        bi.data += rest % batch[d] * b_strides[d];
      }
      gemm<T, Out>({m, n, k, ai, bi, y.ptr<Out>() + i * inner * m * n, n}, accumulate, inner, m * n);
    }
  });
}

}  // namespace folio::FOLIO_CUDA
