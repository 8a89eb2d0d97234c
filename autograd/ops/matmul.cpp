// Y = A·B      dA = dY·Bᵀ,  dB = Aᵀ·dY, summed over broadcast leading dimensions
#include <algorithm>
#include <vector>

#include "autograd/cpu/gemm.hpp"
#include "autograd/cpu/iterate.hpp"
#include "autograd/ops/op.hpp"

namespace folio {
namespace {

Shape leading(const Shape& shape) { return Dims(std::span(shape.begin(), static_cast<std::size_t>(shape.size() - 2))); }

Shape with_matrix(Shape shape, std::int64_t rows, std::int64_t columns) {
  shape.push_back(rows);
  shape.push_back(columns);
  return shape;
}

/// The extents and strides of a tensor's last two dimensions.
struct MatrixLayout {
  std::int64_t rows, columns, row_stride, column_stride;

  MatrixLayout transposed() const { return {columns, rows, column_stride, row_stride}; }
  /// Whether they are rows of packed elements; extents of 1 have no stride worth the name.
  bool is_row_major() const { return (column_stride == 1 || columns <= 1) && (row_stride >= columns || rows <= 1); }
};
MatrixLayout layout_of(const Tensor& x) {
  const Strides& strides = x.strides();
  return {x.dim(-2), x.dim(-1), strides[x.rank() - 2], strides[x.rank() - 1]};
}

/// x, or a copy that a matrix product can read in place.
Tensor readable(const Tensor& x) {
  const MatrixLayout layout = layout_of(x);
  return layout.is_row_major() || layout.transposed().is_row_major() ? x : x.clone();
}

template <class T>
cpu::Matrix<const T> as_matrix(const T* data, const MatrixLayout& x) {
  if (!x.is_row_major()) return as_matrix(data, x.transposed()).transposed();
  return {data, x.rows > 1 ? x.row_stride : std::max<std::int64_t>(x.columns, 1), 1};
}

}  // namespace

void cpu::matmul(const Tensor& a, const Tensor& b, bool accumulate, Tensor& y) {
  const Tensor left = readable(a), right = readable(b);
  visit_product(a.dtype(), y.dtype(), [&](auto in, auto out) {
    using T = decltype(in);
    using Out = decltype(out);
    const Shape batch = leading(y.shape());
    const std::int64_t m = y.dim(-2), n = y.dim(-1), k = a.dim(-1);
    const Strides a_strides = broadcast_strides(leading(left.shape()), left.strides(), batch);
    const Strides b_strides = broadcast_strides(leading(right.shape()), right.strides(), batch);
    std::vector<Product<T, Out>> products;
    for (std::int64_t i = 0; i < numel(batch); ++i) {
      Matrix<const T> am = as_matrix<T>(left.ptr<T>(), layout_of(left));
      Matrix<const T> bm = as_matrix<T>(right.ptr<T>(), layout_of(right));
      std::int64_t rest = i;
      for (int d = batch.size() - 1; d >= 0; rest /= batch[d--]) {
        am.data += rest % batch[d] * a_strides[d];
        bm.data += rest % batch[d] * b_strides[d];
      }
      products.push_back({m, n, k, am, bm, {y.ptr<Out>() + i * m * n, n, 1}, accumulate});
    }
    multiply_all<T, Out>(products);
  });
}

Tensor matmul(const Tensor& a, const Tensor& b) {
  require_same_float(a, b, "matmul");
  require(a.rank() >= 2 && b.rank() >= 2 && a.dim(-1) == b.dim(-2), [&] {
    return "matmul: shapes " + to_string(a.shape()) + " and " + to_string(b.shape()) +
           " do not multiply: needs (…, m, k) and (…, k, n)";
  });
  const Shape batch = broadcast_shapes(leading(a.shape()), leading(b.shape()), "matmul");
  Tensor y = empty(with_matrix(batch, a.dim(-2), b.dim(-1)), a.options());
  kernel::matmul(a, b, false, y);
  return record({.op = op::matmul,
                 .inputs = {a, b},
                 .outputs = {y},
                 .saved = {b.requires_grad() ? a : Tensor(), a.requires_grad() ? b : Tensor()},
                 .backward = [](const Entry& e, const Tensors& dy) -> Tensors {
                   Tensor da, db;
                   if (e.needs(0)) da = unbroadcast(matmul(dy[0], transposed(e.saved(1))), e.input_shape(0));
                   if (e.needs(1)) db = unbroadcast(matmul(transposed(e.saved(0)), dy[0]), e.input_shape(1));
                   return {da, db};
                 }});
}

}  // namespace folio
