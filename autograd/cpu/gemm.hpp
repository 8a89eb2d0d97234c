#pragma once
// The one seam for matrix products on the CPU.
#include <cstdint>
#include <span>
#include <type_traits>

#include "autograd/dtype.hpp"

namespace folio::cpu {

/// Multiplications that are not worth a task of their own.
constexpr std::int64_t small_product = 1 << 16;
/// Those that are worth waking other threads: where cores share no cache that takes microseconds, to begin with and then
/// until each has what the other wrote.
constexpr std::int64_t worth_threads = 1 << 18;

/// A matrix in memory: element (i, j) is at data[i·row_stride + j·column_stride], and one of the strides is 1. The other
/// may be anything in a matrix that is read: 0 in a row that expand repeats, less than the width in rows that overlap.
template <class T>
struct Matrix {
  T* data;
  std::int64_t row_stride;
  std::int64_t column_stride;

  Matrix at(std::int64_t row, std::int64_t column) const {
    return {data + row * row_stride + column * column_stride, row_stride, column_stride};
  }
  Matrix transposed() const { return {data, column_stride, row_stride}; }
};

/// C (m, n) = A (m, k) · B (k, n), or C += A · B. C is row-major (column_stride 1). 16-bit floats are multiplied and summed
/// in float32, and C is rounded once, or is float32.
template <class T, class Out = T>
struct Product {
  std::int64_t m, n, k;
  Matrix<const T> a;
  Matrix<const T> b;
  Matrix<Out> c;
  bool accumulate = false;
};

/// Computes one product on the calling thread. An Error that names its shape if the provider refuses it.
template <class T, class Out = T>
void multiply(const Product<T, Out>& product);

/// Computes independent products on all threads, each cut into tiles by its shape and their number alone, so that any
/// number of threads gives the same bits.
template <class T, class Out = T>
void multiply_all(std::span<const std::type_identity_t<Product<T, Out>>> products);

/// Whether the provider in use multiplies matrices of this type without widening them (few vectors, and rows that overlap,
/// aside).
bool multiplies_as_it_is(DType dtype);

/// Calls `f(T{}, Out{})` with the element types of a product's operands and of its result.
template <class F>
void visit_product(DType operands, DType result, F&& f) {
  if (!is_half(operands)) return visit_float(result, [&](auto tag) { f(tag, tag); });
  visit_half(operands, [&](auto tag) {
    if (result == operands) return f(tag, tag);
    f(tag, float{});
  });
}

}  // namespace folio::cpu
