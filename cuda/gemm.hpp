#pragma once
/// Matrix products of row-major matrices, by cuBLAS on the ops' stream.
#include "cuda/op.hpp"

namespace folio::FOLIO_CUDA {

/// One of the factors, row-major with rows `stride` elements apart, or the transpose of such a matrix.
template <typename T>
struct Factor {
  const T* data;
  std::int64_t stride;
  bool transposed = false;
  std::int64_t batch_stride = 0;
};

/// c = a·b, or c += a·b: a (m, k), b (k, n), c (m, n) with rows c_stride apart; `batch` products, c's c_batch apart. Reads
/// and writes each matrix once at least; 2·m·n·k operations bind where k is large.
template <typename T>
void gemm(std::int64_t m, std::int64_t n, std::int64_t k, Factor<T> a, Factor<T> b, T* c, std::int64_t c_stride,
          bool accumulate = false, std::int64_t batch = 1, std::int64_t c_batch = 0);

}  // namespace folio::FOLIO_CUDA
