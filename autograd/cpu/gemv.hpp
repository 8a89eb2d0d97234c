#pragma once
#include "autograd/cpu/gemm.hpp"

namespace folio::cpu {

/// Whether the product is of a matrix and a vector: one row or one column.
template <class T, class Out>
bool is_vector(const Product<T, Out>& p) {
  return p.m == 1 || p.n == 1;
}

/// Computes a product of a matrix and a vector on the calling thread, for T of float and the 16-bit floats. It is bound by
/// memory: the matrix is read once as it is stored, and 16-bit floats are widened in registers. An element of the result
/// depends on its own row of the matrix alone, so that parts of two rows or more are the same bits as the whole.
template <class T, class Out>
void multiply_vector(const Product<T, Out>& product);

}  // namespace folio::cpu
