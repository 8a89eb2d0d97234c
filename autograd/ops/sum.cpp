// y = Σ x over some dimensions      dx = dy, repeated along them
#include "autograd/cpu/elementwise.hpp"
#include "autograd/ops/op.hpp"

namespace folio {

// Halves are summed on their own, so that n numbers' rounding error grows with log n and not with n (Higham, "The accuracy
// of floating point summation", 1993).
namespace {

constexpr std::int64_t leaf = 64;  // numbers that are added up in a row

/// Where a run of n > leaf numbers is halved.
std::int64_t half_of(std::int64_t n) { return (n / 2 + leaf - 1) / leaf * leaf; }

template <class T>
T pairwise_sum(const T* x, std::int64_t n) {
  if (n <= leaf) return n > 0 ? cpu::Row<T>(x, n).sum() : T{0};
  const std::int64_t half = half_of(n);
  return pairwise_sum(x, half) + pairwise_sum(x + half, n - half);
}

constexpr std::int64_t width = 64;  // columns that are summed side by side
template <class T>
using Columns = Eigen::Array<T, Eigen::Dynamic, 1, 0, width, 1>;

/// Sums `columns` ≤ width columns of n rows, which lie `stride` apart.
template <class T>
Columns<T> pairwise_sums(const T* x, std::int64_t n, std::int64_t stride, std::int64_t columns) {
  if (n > leaf) {
    const std::int64_t half = half_of(n);
    return pairwise_sums(x, half, stride, columns) + pairwise_sums(x + half * stride, n - half, stride, columns);
  }
  Columns<T> total = Columns<T>::Zero(columns);
  for (std::int64_t r = 0; r < n; ++r) total += cpu::Row<T>(x + r * stride, columns);
  return total;
}

}  // namespace

void cpu::sum(const Tensor& x, std::int64_t outer, std::int64_t reduced, std::int64_t inner, Tensor& y) {
  visit_float(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const T* in = x.ptr<T>();
    T* out = y.ptr<T>();
    if (inner == 1) {
      parallel_ranges(outer, 1 + 32768 / (reduced + 1), [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) out[i] = pairwise_sum(in + i * reduced, reduced);
      });
      return;
    }
    const std::int64_t blocks = (inner + width - 1) / width;
    parallel_for(outer * blocks, [&](std::int64_t task) {
      const std::int64_t i = task / blocks;
      const std::int64_t column = task % blocks * width;
      const std::int64_t columns = std::min(width, inner - column);
      MutableRow<T>(out + i * inner + column, columns) =
          pairwise_sums(in + i * reduced * inner + column, reduced, inner, columns);
    });
  });
}

namespace {

/// Sums one run of neighbouring dimensions [first, last], which stay as extents of 1.
Tensor sum_run(const Tensor& x, int first, int last, DType dtype) {
  std::int64_t outer = 1, reduced = 1, inner = 1;
  Shape shape = x.shape();
  for (int d = 0; d < x.rank(); ++d) {
    (d < first ? outer : d > last ? inner : reduced) *= x.shape()[d];
    if (d >= first && d <= last) shape[d] = 1;
  }
  Tensor y = empty(shape, {dtype, x.device()});
  kernel::sum(x, outer, reduced, inner, y);
  return y;
}

}  // namespace

Shape reduced_shape(const Tensor& x, const Dims& dims, const char* op) {
  Shape shape = dims.empty() ? Shape::filled(x.rank(), 1) : x.shape();
  for (std::int64_t d : dims) shape[normalize_dim(static_cast<int>(d), x.rank(), op)] = 1;
  return shape;
}

Tensor sum_into(DType dtype, const Tensor& x, const Dims& dims, bool keep) {
  std::array<bool, Dims::max_rank> reduced{};
  for (std::int64_t d : dims) {
    const auto i = static_cast<std::size_t>(normalize_dim(static_cast<int>(d), x.rank(), "sum"));
    require(!reduced[i],
            [&] { return "sum: dimension " + std::to_string(d) + " is named twice in " + to_string(dims); });
    reduced[i] = true;
  }
  if (dims.empty()) reduced.fill(true);

  if (x.rank() == 0) return x.clone().to(dtype);
  Tensor y = x.detach();
  const auto outermost = std::find(reduced.begin(), reduced.end(), true) - reduced.begin();
  for (int d = x.rank() - 1; d >= 0;) {
    int first = d;
    if (reduced[static_cast<std::size_t>(d)]) {
      while (first > 0 && reduced[static_cast<std::size_t>(first) - 1]) --first;
      y = sum_run(y, first, d, first == outermost ? dtype : compute_dtype(dtype));
    }
    d = first - 1;
  }
  if (keep) return y;
  Shape dropped;
  for (int d = 0; d < x.rank(); ++d) {
    if (!reduced[static_cast<std::size_t>(d)]) dropped.push_back(x.shape()[d]);
  }
  return {y.storage(), 0, dropped, contiguous_strides(dropped), dtype};
}

Tensor sum(const Tensor& x, const Dims& dims, bool keep) {
  require_float(x, "sum");
  Tensor y = sum_into(x.dtype(), x, dims, keep);
  return record({.op = op::sum,
                 .inputs = {x},
                 .outputs = {y},
                 .parameters = reduced_shape(x, dims, "sum"),
                 .backward = [](const Entry& e, const Tensors& dy) -> Tensors {
                   return {expand(reshape(dy[0], e.parameter<Shape>()), e.input_shape(0))};
                 }});
}

}  // namespace folio
