#pragma once
// What the kernels of attention on the CPU share: rows of heads, rows of scores, and their softmax. Not a public header.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "autograd/cpu/elementwise.hpp"
#include "autograd/cpu/gemm.hpp"

namespace folio::cpu::attention {

constexpr std::int64_t lanes = 16;  // rows of scores are padded to whole vectors

inline std::int64_t padded(std::int64_t n) { return (n + lanes - 1) / lanes * lanes; }

/// Asks, on the way through the rows of a head, for one that is read later: they lie apart, which no processor foresees.
/// (Pays for 16-bit floats: loops over float32 wait less.)
template <class T>
void prefetch(const T* row, std::int64_t apart, std::int64_t width) {
  constexpr std::int64_t ahead = 24, line = 64;
  const auto address = reinterpret_cast<std::uintptr_t>(row);  // may be beyond the last, where a pointer may not go
  const std::int64_t size = sizeof(T), first = ahead * apart * size;
  for (std::int64_t at = first; at < first + width * size; at += line) {
    __builtin_prefetch(reinterpret_cast<const void*>(address + static_cast<std::uintptr_t>(at)));
  }
}

/// `rows` runs of `width` elements of x, of which the first begins at `begin` and the others `apart`, to the rows of `to`.
template <class T>
void copy_rows(const Tensor& x, std::int64_t begin, std::int64_t apart, std::int64_t rows, std::int64_t width,
               Matrix<T> to) {
  const detail::Elements<T> in(x);
  for (std::int64_t i = 0; i < rows; ++i) {
    T* row = to.at(i, 0).data;
    const T* from = in.read(begin + i * apart, 1, width, row);
    if (from != row) std::copy_n(from, width, row);
  }
}

/// The way back: `rows` rows of `from` to such runs of y.
template <class T>
void write_rows(Matrix<T> from, std::int64_t rows, std::int64_t width, const Tensor& y, std::int64_t begin,
                std::int64_t apart) {
  const detail::Elements<T> out(y);
  for (std::int64_t i = 0; i < rows; ++i) {
    T* row = from.at(i, 0).data;
    T* to = out.target(begin + i * apart, 1, row);
    if (to != row) std::copy_n(row, width, to);
    out.write(row, begin + i * apart, 1, width);
  }
}

/// Where the rows of one head of one sequence of x (B, T, H, width) begin, in elements.
inline std::int64_t begin_of(const Tensor& x, std::int64_t b, std::int64_t h) {
  return b * x.strides()[0] + h * x.strides()[2];
}

/// The rows that begin there, as T: in place, or a widened copy of 16-bit floats that `keeper` holds.
template <class T>
Matrix<const T> head_of(const Tensor& x, std::int64_t b, std::int64_t h, Tensor& keeper) {
  const std::int64_t rows = x.dim(1), width = x.dim(3);
  if (x.dtype() == dtype_of<T>()) return {x.ptr<T>() + begin_of(x, b, h), x.strides()[1], 1};
  keeper = empty({rows, width}, {dtype_of<T>()});
  const Matrix<T> copy = {keeper.ptr<T>(), width, 1};
  copy_rows(x, begin_of(x, b, h), x.strides()[1], rows, width, copy);
  return {copy.data, width, 1};
}

/// Whether 0 times all adds up to 0, which it does not with infinities and NaNs.
template <class T>
bool is_finite(Matrix<const T> x, std::int64_t rows, std::int64_t width) {
  constexpr std::int64_t chunk = 64;
  for (std::int64_t column = 0; column < width; column += chunk) {
    const std::int64_t columns = std::min(chunk, width - column);
    Eigen::Array<T, Eigen::Dynamic, 1, 0, chunk, 1> zeros = Eigen::Array<T, Eigen::Dynamic, 1>::Zero(columns);
    for (std::int64_t i = 0; i < rows; ++i) zeros += Row<T>(x.data + i * x.row_stride + column, columns) * T{0};
    if (zeros.sum() != 0) return false;
  }
  return true;
}
/// Those of 16 bits have an exponent of ones.
template <class T>
  requires is_half_type<T>
bool is_finite(Matrix<const T> x, std::int64_t rows, std::int64_t width) {
  constexpr auto exponent = T(std::numeric_limits<float>::infinity()).bits;
  for (std::int64_t i = 0; i < rows; ++i) {
    const T* row = x.data + i * x.row_stride;
    prefetch(row, x.row_stride, width);
    int found = 0;
    for (std::int64_t j = 0; j < width; ++j) found |= static_cast<int>((row[j].bits & exponent) == exponent);
    if (found != 0) return false;
  }
  return true;
}
template <class T>
bool is_finite(const T* row, std::int64_t width) {
  return is_finite(Matrix<const T>{row, width, 1}, 1, width);
}

/// Calls f(E{}) with what products read: bfloat16s where those are multiplied as they are, else the type that all else is
/// computed in, to which 16-bit floats are widened once. A ds has not the range of a float16.
template <class F>
void visit_factors(DType dtype, F&& f) {
  if (dtype == DType::bfloat16 && multiplies_as_it_is(dtype)) return f(bfloat16{});
  visit_compute(dtype, f);
}

/// Rows of scores, and the same as products read them.
template <class E>
class Scores {
 public:
  using T = ComputeType<E>;

  Scores(std::int64_t rows, std::int64_t stride)
      : stride_(stride),
        rows_(empty({rows, stride}, {dtype_of<T>()})),
        rounded_(std::is_same_v<E, T> ? Tensor() : empty({rows, stride}, {dtype_of<E>()})) {}

  Matrix<T> rows() const { return {rows_.template ptr<T>(), stride_, 1}; }
  T* row(std::int64_t i) const { return rows_.template ptr<T>() + i * stride_; }
  /// What is beyond the first `seen` of `visible` is masked, and the row is as products read it.
  void finish(std::int64_t i, std::int64_t seen, std::int64_t visible) const {
    std::fill(row(i) + seen, row(i) + visible, T{0});
    if constexpr (!std::is_same_v<E, T>) {
      detail::unpack_run(row(i), visible, rounded_.template ptr<E>() + i * stride_, 1);
    }
  }
  Matrix<const E> factor() const {
    if constexpr (std::is_same_v<E, T>) {
      return {row(0), stride_, 1};
    } else {
      return {rounded_.template ptr<E>(), stride_, 1};
    }
  }

 private:
  std::int64_t stride_;
  Tensor rows_, rounded_;
};

/// A row's softmax: its numerators over their sum.
template <class T>
struct Softmax {
  T sum, log_sum;
};

/// Puts the numerators in place of a row's scores.
template <class T>
Softmax<T> exponentiate(T* row, std::int64_t seen, double scale) {
  const auto factor = static_cast<T>(scale);
  const T top = (scale < 0 ? Row<T>(row, seen).minCoeff() : Row<T>(row, seen).maxCoeff()) * factor;
  MutableRow<T> p(row, padded(seen));
  p = (p * factor - top).exp();
  const T sum = Row<T>(row, seen).sum();
  return {sum, top + std::log(sum)};
}

/// The attention of one query per sequence, which sees every key: what decoding asks. Shapes and results are those of
/// causal_attention with T = 1.
void attend_once(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& shared_key, double scale,
                 const Tensor& y, const Tensor& log_sum);

}  // namespace folio::cpu::attention
