#pragma once
#include <algorithm>

#include "autograd/cpu/gemm.hpp"

namespace folio::cpu {

/// Vectors that share one reading of a matrix.
constexpr int most_vectors = 8;

/// Whether the product is of a matrix and a few vectors: few rows or few columns.
template <class T, class Out>
bool is_of_vectors(const Product<T, Out>& p) {
  return std::min(p.m, p.n) <= most_vectors;
}

/// Computes a product of a matrix and a few vectors on the calling thread, for T of float and the 16-bit floats. The matrix
/// is read once as it is stored. 16-bit floats are widened in registers; but bfloat16s are multiplied as they are where the
/// processor can (AVX512-BF16), and factors and sums below 2^-126 are then taken as 0. An element of the result depends on
/// its own row of the matrix and its vector alone: parts that have more rows than vectors are the same bits as the whole.
template <class T, class Out>
void multiply_vectors(const Product<T, Out>& product);

}  // namespace folio::cpu
