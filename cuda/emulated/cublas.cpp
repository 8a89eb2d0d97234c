#include "cuda/emulated/cublas.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cuda/emulated/device_memory.hpp"
#include "cuda/emulated/fault.hpp"
#include "cuda/emulated/launch.hpp"
#include "cuda/emulated/matrix_product.hpp"
#include "cuda/emulated/status.hpp"

namespace folio::cuda_emulated {

struct BlasHandle {
  cudaStream_t stream = nullptr;
  cublasMath_t mode = CUBLAS_DEFAULT_MATH;
};

namespace {

struct Types {
  cudaDataType a, b, c;
  cublasComputeType_t compute;

  bool supported() const {
    if (a != b) return false;
    if (a == CUDA_R_64F) return c == a && compute == CUBLAS_COMPUTE_64F;
    if (a == CUDA_R_32F) return c == a && compute != CUBLAS_COMPUTE_64F;
    return (compute == CUBLAS_COMPUTE_32F || compute == CUBLAS_COMPUTE_32F_PEDANTIC) && (c == a || c == CUDA_R_32F);
  }
};

/// alpha or beta number `i`, which is of the compute type.
double scalar(const void* value, cublasComputeType_t compute, int i = 0) {
  return compute == CUBLAS_COMPUTE_64F ? static_cast<const double*>(value)[i] : static_cast<const float*>(value)[i];
}

/// A product without its addresses; nothing where sizes or leading dimensions are wrong.
std::optional<Product> shape(const BlasHandle& handle, cublasOperation_t op_a, cublasOperation_t op_b, int m, int n,
                             int k, int lda, int ldb, int ldc, const Types& types) {
  Product p;
  p.transpose_a = op_a != CUBLAS_OP_N, p.transpose_b = op_b != CUBLAS_OP_N;
  if (m < 0 || n < 0 || k < 0 || lda < std::max(1, p.transpose_a ? k : m) || ldb < std::max(1, p.transpose_b ? n : k) ||
      ldc < std::max(1, m)) {
    return std::nullopt;
  }
  p.m = m, p.n = n, p.k = k, p.lda = lda, p.ldb = ldb, p.ldc = ldc;
  p.ab_type = types.a, p.c_type = types.c;
  p.tf32 =
      types.a == CUDA_R_32F && (types.compute == CUBLAS_COMPUTE_32F_FAST_TF32 ||
                                (types.compute == CUBLAS_COMPUTE_32F && handle.mode == CUBLAS_TF32_TENSOR_OP_MATH));
  return p;
}

/// What a GPU's tensor cores insist on in grouped products.
void require_aligned(const Product& p) {
  const std::size_t line = static_cast<std::size_t>(p.k) * size_of(p.ab_type);
  const std::size_t wanted = line % 16 == 0 ? 16 : line % 4 == 0 ? 4 : 1;
  for (const void* at : {p.a, p.b, static_cast<const void*>(p.c)}) {
    if (reinterpret_cast<std::uintptr_t>(at) % wanted == 0) continue;
    throw Fault(FaultKind::alignment, "matrix product: with k = " + std::to_string(p.k) +
                                          " the addresses of grouped products must be multiples of " +
                                          std::to_string(wanted) + " bytes: " + describe_address(at));
  }
}

/// A caution rather than a rule of cuBLAS's manual: its kernels may load addresses in vectors.
void require_aligned_array(char name, const void* addresses) {
  if (reinterpret_cast<std::uintptr_t>(addresses) % 16 == 0) return;
  throw Fault(FaultKind::alignment, std::string("grouped products: the array of the addresses of ") + name +
                                        " must begin at a multiple of 16 bytes: " + describe_address(addresses));
}

/// Puts the work on the handle's stream; a fault of earlier work stays with the runtime, where check() finds it.
template <typename F>
cublasStatus_t put(const BlasHandle& handle, F&& run) {
  const cudaError_t error = call_on(handle.stream, [&](const auto& stream) {
    streams().put(stream, {.run = std::forward<F>(run)});
    return cudaSuccess;
  });
  return error == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}

}  // namespace

cublasStatus_t cublasCreate(cublasHandle_t* handle) {
  *handle = new BlasHandle;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasDestroy(cublasHandle_t handle) {
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetStream(cublasHandle_t handle, cudaStream_t stream) {
  handle->stream = stream;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasGetStream(cublasHandle_t handle, cudaStream_t* stream) {
  *stream = handle->stream;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode) {
  handle->mode = mode;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasGetMathMode(cublasHandle_t handle, cublasMath_t* mode) {
  *mode = handle->mode;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGemmStridedBatchedEx(cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, int m,
                                          int n, int k, const void* alpha, const void* a, cudaDataType a_type, int lda,
                                          long long a_stride, const void* b, cudaDataType b_type, int ldb,
                                          long long b_stride, const void* beta, void* c, cudaDataType c_type, int ldc,
                                          long long c_stride, int batch, cublasComputeType_t compute,
                                          cublasGemmAlgo_t) {
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  const Types types{a_type, b_type, c_type, compute};
  if (!types.supported()) return CUBLAS_STATUS_NOT_SUPPORTED;
  auto product = shape(*handle, op_a, op_b, m, n, k, lda, ldb, ldc, types);
  if (!product || batch < 0) return CUBLAS_STATUS_INVALID_VALUE;
  product->alpha = scalar(alpha, compute), product->beta = scalar(beta, compute);
  count_launch("cublasGemmStridedBatchedEx");
  return put(*handle, [=, p = *product]() mutable {
    const auto ab_bytes = static_cast<long long>(size_of(p.ab_type)),
               c_bytes = static_cast<long long>(size_of(p.c_type));
    for (long long i = 0; i < batch; ++i) {
      p.a = static_cast<const std::byte*>(a) + i * a_stride * ab_bytes;
      p.b = static_cast<const std::byte*>(b) + i * b_stride * ab_bytes;
      p.c = static_cast<std::byte*>(c) + i * c_stride * c_bytes;
      multiply(p);
    }
  });
}

cublasStatus_t cublasGemmEx(cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, int m, int n, int k,
                            const void* alpha, const void* a, cudaDataType a_type, int lda, const void* b,
                            cudaDataType b_type, int ldb, const void* beta, void* c, cudaDataType c_type, int ldc,
                            cublasComputeType_t compute, cublasGemmAlgo_t algorithm) {
  return cublasGemmStridedBatchedEx(handle, op_a, op_b, m, n, k, alpha, a, a_type, lda, 0, b, b_type, ldb, 0, beta, c,
                                    c_type, ldc, 0, 1, compute, algorithm);
}

cublasStatus_t cublasSgemmStridedBatched(cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, int m,
                                         int n, int k, const float* alpha, const float* a, int lda, long long a_stride,
                                         const float* b, int ldb, long long b_stride, const float* beta, float* c,
                                         int ldc, long long c_stride, int batch) {
  return cublasGemmStridedBatchedEx(handle, op_a, op_b, m, n, k, alpha, a, CUDA_R_32F, lda, a_stride, b, CUDA_R_32F,
                                    ldb, b_stride, beta, c, CUDA_R_32F, ldc, c_stride, batch, CUBLAS_COMPUTE_32F,
                                    CUBLAS_GEMM_DEFAULT);
}

cublasStatus_t cublasDgemmStridedBatched(cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, int m,
                                         int n, int k, const double* alpha, const double* a, int lda,
                                         long long a_stride, const double* b, int ldb, long long b_stride,
                                         const double* beta, double* c, int ldc, long long c_stride, int batch) {
  return cublasGemmStridedBatchedEx(handle, op_a, op_b, m, n, k, alpha, a, CUDA_R_64F, lda, a_stride, b, CUDA_R_64F,
                                    ldb, b_stride, beta, c, CUDA_R_64F, ldc, c_stride, batch, CUBLAS_COMPUTE_64F,
                                    CUBLAS_GEMM_DEFAULT);
}

cublasStatus_t cublasSgemm(cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, int m, int n, int k,
                           const float* alpha, const float* a, int lda, const float* b, int ldb, const float* beta,
                           float* c, int ldc) {
  return cublasSgemmStridedBatched(handle, op_a, op_b, m, n, k, alpha, a, lda, 0, b, ldb, 0, beta, c, ldc, 0, 1);
}

cublasStatus_t cublasDgemm(cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, int m, int n, int k,
                           const double* alpha, const double* a, int lda, const double* b, int ldb, const double* beta,
                           double* c, int ldc) {
  return cublasDgemmStridedBatched(handle, op_a, op_b, m, n, k, alpha, a, lda, 0, b, ldb, 0, beta, c, ldc, 0, 1);
}

cublasStatus_t cublasGemmGroupedBatchedEx(cublasHandle_t handle, const cublasOperation_t op_a[],
                                          const cublasOperation_t op_b[], const int m[], const int n[], const int k[],
                                          const void* alpha, const void* const a[], cudaDataType a_type,
                                          const int lda[], const void* const b[], cudaDataType b_type, const int ldb[],
                                          const void* beta, void* const c[], cudaDataType c_type, const int ldc[],
                                          int groups, const int group_size[], cublasComputeType_t compute) {
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  const Types types{a_type, b_type, c_type, compute};
  if (!types.supported() || c_type != a_type) return CUBLAS_STATUS_NOT_SUPPORTED;
  const bool aligns = size_of(a_type) == 2 || compute == CUBLAS_COMPUTE_32F_FAST_TF32;
  std::vector<Product> products;
  for (int g = 0; g < groups; ++g) {
    auto product = shape(*handle, op_a[g], op_b[g], m[g], n[g], k[g], lda[g], ldb[g], ldc[g], types);
    if (!product || group_size[g] < 0) return CUBLAS_STATUS_INVALID_VALUE;
    product->alpha = scalar(alpha, compute, g), product->beta = scalar(beta, compute, g);
    products.insert(products.end(), group_size[g], *product);
  }
  count_launch("cublasGemmGroupedBatchedEx");
  return put(*handle, [=, products = std::move(products)]() mutable {
    require_aligned_array('A', a), require_aligned_array('B', b), require_aligned_array('C', c);
    for (std::size_t i = 0; i < products.size(); ++i) {  // the pointers are read when it runs: they lie on the device
      Product& p = products[i];
      p.a = a[i], p.b = b[i], p.c = c[i];
      if (aligns) require_aligned(p);
      multiply(p);
    }
  });
}

const char* cublasGetStatusName(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS: return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_INITIALIZED: return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_INVALID_VALUE: return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_EXECUTION_FAILED: return "CUBLAS_STATUS_EXECUTION_FAILED";
    case CUBLAS_STATUS_NOT_SUPPORTED: return "CUBLAS_STATUS_NOT_SUPPORTED";
  }
  return "an unknown status of cuBLAS";
}

void check(cublasStatus_t status, std::source_location where) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  if (status == CUBLAS_STATUS_EXECUTION_FAILED) check(cudaErrorLaunchFailure, where);
  throw Error(std::string(where.file_name()) + ":" + std::to_string(where.line()) + ": " + cublasGetStatusName(status));
}

}  // namespace folio::cuda_emulated
