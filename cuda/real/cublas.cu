#include "autograd/error.hpp"
#include "cuda/cublas.hpp"

namespace folio::cuda {

void check(cublasStatus_t status, std::source_location where) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw Error(std::string(where.file_name()) + ":" + std::to_string(where.line()) + ": " + cublasGetStatusName(status) +
              ": " + cublasGetStatusString(status));
}

}  // namespace folio::cuda
