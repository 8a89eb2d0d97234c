// y = max or min of x along one dimension, with its index      dx = dy at that index, 0 elsewhere
// Ties go to the lowest index. NaN is beyond every number: the first one is both the maximum and the minimum.
#include <algorithm>
#include <array>

#include "autograd/cpu/elementwise.hpp"
#include "autograd/ops/op.hpp"

namespace folio {
namespace {

constexpr std::int64_t width = 64;  // columns at once

template <class T>
bool beats(T value, T best, T sign) {
  return !(sign * value <= sign * best) && best == best;
}

/// The extreme of each of up to `width` neighbouring columns of n rows, and in which row it is first.
template <class T>
void extremes_of_columns(const T* in, std::int64_t n, std::int64_t apart, std::int64_t columns, T sign, T* best,
                         std::int32_t* at) {
  std::copy(in, in + columns, best);
  std::fill(at, at + columns, 0);
  for (std::int64_t i = 1; i < n; ++i) {
    for (std::int64_t c = 0; c < columns; ++c) {
      const T value = in[i * apart + c];
      const bool ahead = beats(value, best[c], sign);
      best[c] = ahead ? value : best[c];
      at[c] = ahead ? static_cast<std::int32_t>(i) : at[c];
    }
  }
}

/// The extreme of n neighbours, and where it is first: those of columns that they fill, and of what remains.
template <class T>
void extreme_of_row(const T* in, std::int64_t n, T sign, T& best, std::int32_t& at) {
  std::array<T, width> column_best;
  std::array<std::int32_t, width> column_at;
  const std::int64_t rows = n / width;
  best = in[0];
  at = 0;
  if (rows > 0) extremes_of_columns(in, rows, width, width, sign, column_best.data(), column_at.data());
  for (std::size_t c = 0; rows > 0 && c < column_best.size(); ++c) {
    const T value = column_best[c];
    const auto index = static_cast<std::int32_t>(column_at[c] * width + static_cast<std::int64_t>(c));
    if (!beats(value, best, sign) && (beats(best, value, sign) || index > at)) continue;
    best = value;
    at = index;
  }
  for (std::int64_t i = rows * width; i < n; ++i) {
    if (!beats(in[i], best, sign)) continue;
    best = in[i];
    at = static_cast<std::int32_t>(i);
  }
}

}  // namespace

void cpu::extreme(const Tensor& x, std::int64_t outer, std::int64_t n, std::int64_t inner, Extreme which, Tensor& y,
                  Tensor& index) {
  visit_float(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const std::int64_t blocks = (inner + width - 1) / width;
    const T sign = which == Extreme::max ? T{1} : T{-1};
    const auto reduce = [&](std::int64_t block) {
      const std::int64_t o = block / blocks, column = block % blocks * width, to = o * inner + column;
      const T* in = x.ptr<T>() + o * n * inner + column;
      T* best = y.ptr<T>() + to;
      std::int32_t* at = index.ptr<std::int32_t>() + to;
      if (inner == 1) return extreme_of_row(in, n, sign, *best, *at);
      extremes_of_columns(in, n, inner, std::min(width, inner - column), sign, best, at);
    };
    parallel_ranges(outer * blocks, 1 + detail::task / (n * std::min(inner + 1, width)),
                    [&](std::int64_t begin, std::int64_t end) {
                      for (std::int64_t block = begin; block < end; ++block) reduce(block);
                    });
  });
}

namespace {

std::pair<Tensor, Tensor> extreme(const Tensor& x, int dim, bool keep, Extreme which, OpName op) {
  require_float(x, op.text);
  const int d = normalize_dim(dim, x.rank(), op.text);
  const std::int64_t n = x.dim(d);
  require(n > 0, [&] {
    return std::string(op.text) + ": " + describe(x) + " has no elements along dimension " + std::to_string(dim);
  });
  std::int64_t outer = 1, inner = 1;
  for (int i = 0; i < x.rank(); ++i) (i < d ? outer : inner) *= i == d ? 1 : x.shape()[i];
  Shape kept = x.shape(), shape = kept;
  kept[d] = 1;
  if (keep) {
    shape = kept;
  } else {
    shape.erase(d);
  }
  Tensor y = empty(shape, x.options()), index = empty(shape, {DType::int32, x.device()});
  kernel::extreme(x, outer, n, inner, which, y, index);
  y = record({.op = op,
              .inputs = {x},
              .outputs = {y},
              .saved = {index},
              .parameters = std::pair(d, kept),
              .backward = [](const Entry& e, const Tensors& dy) -> Tensors {
                const auto& [along, extents] = e.parameter<std::pair<int, Shape>>();
                Tensor dx = empty(e.input_shape(0), dy[0].options());
                kernel::gather_backward(dy[0].reshape(extents), along, e.saved(0).reshape(extents), dx);
                return {dx};
              }});
  return {y, index};
}

/// One extreme along a single dimension: those that are reduced, moved to the end and joined.
Tensor extreme_over(const Tensor& x, const Dims& dims, bool keep, Extreme which, OpName op) {
  std::array<bool, Dims::max_rank> reduced{};
  for (std::int64_t d : dims) {
    const auto i = static_cast<std::size_t>(normalize_dim(static_cast<int>(d), x.rank(), op.text));
    require(!reduced[i], [&] {
      return std::string(op.text) + ": dimension " + std::to_string(d) + " is named twice in " + to_string(dims);
    });
    reduced[i] = true;
  }
  if (dims.empty()) reduced.fill(true);
  Dims order, last;
  Shape joined, kept;
  std::int64_t n = 1;
  for (int d = 0; d < x.rank(); ++d) {
    const bool gone = reduced[static_cast<std::size_t>(d)];
    (gone ? last : order).push_back(d);
    if (gone) n *= x.dim(d);
    if (!gone) joined.push_back(x.dim(d));
    if (!gone || keep) kept.push_back(gone ? 1 : x.dim(d));
  }
  for (std::int64_t d : last) order.push_back(d);
  joined.push_back(n);
  return reshape(extreme(reshape(permute(x, order), joined), -1, false, which, op).first, kept);
}

}  // namespace

std::pair<Tensor, Tensor> max(const Tensor& x, int dim, bool keep) {
  return extreme(x, dim, keep, Extreme::max, op::max);
}
std::pair<Tensor, Tensor> min(const Tensor& x, int dim, bool keep) {
  return extreme(x, dim, keep, Extreme::min, op::min);
}
Tensor amax(const Tensor& x, const Dims& dims, bool keep) { return extreme_over(x, dims, keep, Extreme::max, op::max); }
Tensor amin(const Tensor& x, const Dims& dims, bool keep) { return extreme_over(x, dims, keep, Extreme::min, op::min); }

}  // namespace folio
