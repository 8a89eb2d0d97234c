#pragma once
// The one seam for matrix products on the CPU.
#include <cstdint>
#include <span>

#include "autograd/dtype.hpp"

namespace folio::cpu {

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

/// C (m, n) = A (m, k) · B (k, n), or C += A · B. C is row-major (column_stride 1).
template <class T>
struct Product {
  std::int64_t m, n, k;
  Matrix<const T> a;
  Matrix<const T> b;
  Matrix<T> c;
  bool accumulate = false;
};

/// Computes one product on the calling thread. An Error that names its shape if the provider refuses it.
template <class T>
void multiply(const Product<T>& product);

/// Computes independent products on all threads, each cut into tiles by its shape alone, so that any number of threads
/// gives the same bits.
template <class T>
void multiply_all(std::span<const Product<T>> products);

}  // namespace folio::cpu
