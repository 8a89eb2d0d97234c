#pragma once
#include <cublas_v2.h>

#include <source_location>
#include <utility>

#include "cuda/real/device.hpp"

namespace folio::cuda {

/// cuBLAS's own, called by the same names, and counted among the launches. (They are closer matches than cuBLAS's, whose
/// matrices are void.)
template <typename... A>
cublasStatus_t cublasGemmStridedBatchedEx(A&&... arguments) {
  count_launch("cublasGemmStridedBatchedEx");
  return ::cublasGemmStridedBatchedEx(std::forward<A>(arguments)...);
}
template <typename... A>
cublasStatus_t cublasGemmGroupedBatchedEx(A&&... arguments) {
  count_launch("cublasGemmGroupedBatchedEx");
  return ::cublasGemmGroupedBatchedEx(std::forward<A>(arguments)...);
}

/// Throws folio::Error with cuBLAS's reason and this line unless `status` is CUBLAS_STATUS_SUCCESS.
void check(cublasStatus_t status, std::source_location where = std::source_location::current());

}  // namespace folio::cuda
