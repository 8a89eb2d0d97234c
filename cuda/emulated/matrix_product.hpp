#pragma once
#include "cuda/emulated/cublas.hpp"

namespace folio::cuda_emulated {

/// One product as cuBLAS describes it, alpha and beta read.
struct Product {
  bool transpose_a = false, transpose_b = false;
  int m = 0, n = 0, k = 0;
  double alpha = 1, beta = 0;
  const void *a = nullptr, *b = nullptr;
  void* c = nullptr;
  int lda = 1, ldb = 1, ldc = 1;
  cudaDataType ab_type = CUDA_R_32F, c_type = CUDA_R_32F;
  bool tf32 = false;  ///< float32 inputs are rounded to 10 bits of fraction
};

/// Computes it now, on the calling thread; throws Fault where a matrix reaches outside device memory.
void multiply(const Product& product);

std::size_t size_of(cudaDataType type);

}  // namespace folio::cuda_emulated
