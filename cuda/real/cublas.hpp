#pragma once
#include <cublas_v2.h>

#include <source_location>

namespace folio::cuda {

/// Throws folio::Error with cuBLAS's reason and this line unless `status` is CUBLAS_STATUS_SUCCESS.
void check(cublasStatus_t status, std::source_location where = std::source_location::current());

}  // namespace folio::cuda
