#pragma once
/// Matrix products of row-major matrices, by cuBLAS on the ops' stream.
#include <vector>

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

/// c = a·b: a (m, k), b (k, n), c (m, n) with rows c_stride apart. 16-bit floats are multiplied and summed in float32, and
/// c is rounded once, or is float32.
template <typename T, typename Out>
struct MatrixProduct {
  std::int64_t m, n, k;
  Factor<T> a;
  Factor<T> b;
  Out* c;
  std::int64_t c_stride;
};

/// Computes it, or adds it to what c holds; `batch` of them, c's c_batch apart. Reads and writes each matrix once at least;
/// 2·m·n·k operations bind where k is large.
template <typename T, typename Out>
void gemm(const MatrixProduct<T, Out>& product, bool accumulate = false, std::int64_t batch = 1,
          std::int64_t c_batch = 0);

/// Computes independent products, none of them empty: in one call where cuBLAS takes products of different sizes together.
template <typename T, typename Out>
void gemm_each(const std::vector<MatrixProduct<T, Out>>& products, Device device);

/// Calls `f(T{}, Out{})` with the element types of a product's operands and of its result.
template <typename F>
void visit_product(DType operands, DType result, F&& f) {
  visit_stored(operands, [&](auto tag) {
    if constexpr (is_half_type<decltype(tag)>) {
      if (result == DType::float32) return f(tag, float{});
    }
    f(tag, tag);
  });
}

}  // namespace folio::FOLIO_CUDA
