#pragma once
#include "cuda/kernel.hpp"

// Kernels that are right, in the style that the library's own are written in; both builds compile them.
namespace folio::FOLIO_CUDA::demo {

/// sum[i] = a[i] + b[i] for i < n. 16 bytes at a time where all three addresses allow it.
template <typename T>
void add(const T* a, const T* b, T* sum, std::int64_t n, cudaStream_t stream);

/// out[r] = scale · Σ_c x[r, c], x is (rows, columns); one block per row, `threads` a multiple of 32.
template <typename T>
void sum_rows(const T* x, Accumulator<T>* out, std::int64_t rows, std::int64_t columns, int threads,
              cudaStream_t stream);

/// out[r, c] = exp(x[r, c]) / Σ_c exp(x[r, c]), x is (rows, columns); one block per row.
template <typename T>
void softmax_rows(const T* x, T* out, std::int64_t rows, std::int64_t columns, int threads, cudaStream_t stream);

/// out (columns, rows) = x (rows, columns) transposed.
template <typename T>
void transpose(const T* x, T* out, std::int64_t rows, std::int64_t columns, cudaStream_t stream);

}  // namespace folio::FOLIO_CUDA::demo
