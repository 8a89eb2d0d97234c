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

Tensor swapped(const Tensor& x) { return x.transpose(-1, -2); }

/// Whether the last two dimensions are rows of packed elements; extents of 1 have no stride worth the name.
bool is_row_major(const Tensor& x) {
  const std::int64_t rows = x.dim(-2), columns = x.dim(-1);
  const std::int64_t row = x.strides()[x.rank() - 2], column = x.strides()[x.rank() - 1];
  return (column == 1 || columns <= 1) && (row >= columns || rows <= 1);
}

/// x, or a copy that a matrix product can read in place.
Tensor readable(const Tensor& x) { return is_row_major(x) || is_row_major(swapped(x)) ? x : x.clone(); }

template <class T>
cpu::Matrix<const T> as_matrix(const Tensor& x) {
  if (!is_row_major(x)) return as_matrix<T>(swapped(x)).transposed();
  const std::int64_t row = x.dim(-2) > 1 ? x.strides()[x.rank() - 2] : std::max<std::int64_t>(x.dim(-1), 1);
  return {x.ptr<T>(), row, 1};
}

}  // namespace

void cpu::matmul(const Tensor& a, const Tensor& b, bool accumulate, Tensor& y) {
  const Tensor left = readable(a.detach());
  const Tensor right = readable(b.detach());
  visit_product(a.dtype(), y.dtype(), [&](auto in, auto out) {
    using T = decltype(in);
    using Out = decltype(out);
    const Shape batch = leading(y.shape());
    const std::int64_t m = y.dim(-2), n = y.dim(-1), k = a.dim(-1);
    const Strides a_strides = broadcast_strides(leading(left.shape()), left.strides(), batch);
    const Strides b_strides = broadcast_strides(leading(right.shape()), right.strides(), batch);
    std::vector<Product<T, Out>> products;
    for (std::int64_t i = 0; i < numel(batch); ++i) {
      Matrix<const T> am = as_matrix<T>(left), bm = as_matrix<T>(right);
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
                   if (e.needs(0)) da = unbroadcast(matmul(dy[0], swapped(e.saved(1))), e.input_shape(0));
                   if (e.needs(1)) db = unbroadcast(matmul(swapped(e.saved(0)), dy[0]), e.input_shape(1));
                   return {da, db};
                 }});
}

}  // namespace folio
