// The products of cuda/gemm.hpp. cuBLAS is column-major, so it is asked for Cᵀ = Bᵀ·Aᵀ.
#include "cuda/gemm.hpp"

#include <algorithm>
#include <limits>
#include <type_traits>

#include "autograd/settings.hpp"
#include "cuda/cublas.hpp"
#include "cuda/memory.hpp"

namespace folio::FOLIO_CUDA {
namespace {

cublasHandle_t cublas() {
  static const cublasHandle_t handle = [] {
    cublasHandle_t made = nullptr;
    check(cublasCreate(&made));
    check(cublasSetStream(made, stream()));
    check(cublasSetMathMode(made, CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION));
    return made;
  }();
  return handle;
}

int as_int(std::int64_t value) {
  require(value <= std::numeric_limits<int>::max(), [&] {
    return "matmul: an extent or stride of " + std::to_string(value) + " is more than cuBLAS takes: split the product";
  });
  return static_cast<int>(value);
}

template <typename T>
constexpr cudaDataType type_of() {
  if constexpr (std::is_same_v<T, float>) return CUDA_R_32F;
  if constexpr (std::is_same_v<T, double>) return CUDA_R_64F;
  if constexpr (std::is_same_v<T, bfloat16>) return CUDA_R_16BF;
  if constexpr (std::is_same_v<T, float16>) return CUDA_R_16F;
}

template <typename T>
cublasComputeType_t compute_type() {
  if constexpr (std::is_same_v<T, double>) return CUBLAS_COMPUTE_64F;
  return std::is_same_v<T, float> && tf32() ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
}

template <typename T>
cublasOperation_t operation(const Factor<T>& x) {
  return x.transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
}

}  // namespace

template <typename T, typename Out>
void gemm(const MatrixProduct<T, Out>& p, bool accumulate, std::int64_t batch, std::int64_t c_batch) {
  if (p.m == 0 || p.n == 0 || batch == 0) return;
  const Accumulator<T> alpha = 1, beta = accumulate ? 1 : 0;
  check(cublasGemmStridedBatchedEx(cublas(), operation(p.b), operation(p.a), as_int(p.n), as_int(p.m), as_int(p.k),
                                   &alpha, p.b.data, type_of<T>(), as_int(p.b.stride), p.b.batch_stride, p.a.data,
                                   type_of<T>(), as_int(p.a.stride), p.a.batch_stride, &beta, p.c, type_of<Out>(),
                                   as_int(p.c_stride), c_batch, as_int(batch), compute_type<T>(), CUBLAS_GEMM_DEFAULT));
}

#if CUBLAS_VERSION >= 120500
namespace {

/// Whether cuBLAS takes them as one group of products: the result is of the operands' type, and every address is a multiple
/// of 16 bytes where tensor cores read it.
template <typename T>
bool can_be_grouped(const std::vector<MatrixProduct<T, T>>& products) {
  if (products.size() < 2) return false;
  if (!is_half_type<T> && compute_type<T>() != CUBLAS_COMPUTE_32F_FAST_TF32) return true;
  return std::all_of(products.begin(), products.end(), [](const MatrixProduct<T, T>& p) {
    using P = Pack<T>;
    return is_pack_aligned<P>(p.a.data) && is_pack_aligned<P>(p.b.data) && is_pack_aligned<P>(p.c);
  });
}

/// One call for all. The addresses, 24 bytes a product, go to the device first: three arrays, each from a multiple of 16 bytes
/// on, in case cuBLAS loads addresses in vectors.
template <typename T>
void gemm_grouped(const std::vector<MatrixProduct<T, T>>& products, Device device) {
  const std::size_t n = products.size(), b = n + n % 2, c = 2 * b, count = c + n;
  std::vector<cublasOperation_t> op_a, op_b;
  std::vector<int> rows, columns, inner, lda, ldb, ldc;
  std::vector<const void*> addresses(count);
  for (std::size_t i = 0; i < n; ++i) {
    const MatrixProduct<T, T>& p = products[i];
    op_a.push_back(operation(p.b)), op_b.push_back(operation(p.a));
    rows.push_back(as_int(p.n)), columns.push_back(as_int(p.m)), inner.push_back(as_int(p.k));
    lda.push_back(as_int(p.b.stride)), ldb.push_back(as_int(p.a.stride)), ldc.push_back(as_int(p.c_stride));
    addresses[i] = p.b.data, addresses[b + i] = p.a.data, addresses[c + i] = p.c;
  }
  const std::vector<Accumulator<T>> alpha(n, 1), beta(n, 0);
  const std::vector<int> sizes(n, 1);
  const Tensor there = empty({static_cast<std::int64_t>(count)}, {DType::int64, device});
  static_assert(sizeof(void*) == sizeof(std::int64_t));
  copy_from_host(there.ptr<std::byte>(), reinterpret_cast<const std::byte*>(addresses.data()), count * sizeof(void*));
  const auto at = there.ptr<const void*>();
  check(cublasGemmGroupedBatchedEx(cublas(), op_a.data(), op_b.data(), rows.data(), columns.data(), inner.data(),
                                   alpha.data(), at, type_of<T>(), lda.data(), at + b, type_of<T>(), ldb.data(),
                                   beta.data(), there.ptr<void*>() + c, type_of<T>(), ldc.data(), static_cast<int>(n),
                                   sizes.data(), compute_type<T>()));
}

}  // namespace
#endif

template <typename T, typename Out>
void gemm_each(const std::vector<MatrixProduct<T, Out>>& products, [[maybe_unused]] Device device) {
#if CUBLAS_VERSION >= 120500
  if constexpr (std::is_same_v<T, Out>) {
    if (can_be_grouped(products)) return gemm_grouped(products, device);
  }
#endif
  for (const MatrixProduct<T, Out>& p : products) gemm(p);
}

#define INSTANTIATE(T, Out)                                                           \
  template void gemm(const MatrixProduct<T, Out>&, bool, std::int64_t, std::int64_t); \
  template void gemm_each(const std::vector<MatrixProduct<T, Out>>&, Device);
INSTANTIATE(float, float)
INSTANTIATE(double, double)
INSTANTIATE(bfloat16, bfloat16)
INSTANTIATE(bfloat16, float)
INSTANTIATE(float16, float16)
INSTANTIATE(float16, float)
#undef INSTANTIATE

}  // namespace folio::FOLIO_CUDA
