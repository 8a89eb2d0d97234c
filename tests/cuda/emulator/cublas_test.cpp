#include "cuda/cublas.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <memory>

#include "tests/cuda/emulator/device_array.hpp"
#include "tests/cuda/emulator/draw.hpp"

// The shim of cuBLAS against three plain loops.
namespace folio::cuda_emulated {
namespace {

using testing::DeviceArray;
using testing::draw_between;
using testing::draw_order;
using testing::draw_whole_numbers;
using testing::Shares;

class Handle {
 public:
  Handle() { check(cublasCreate(&handle_)); }
  ~Handle() { cublasDestroy(handle_); }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  operator cublasHandle_t() const { return handle_; }  // NOLINT: a handle, as cuBLAS takes it

 private:
  cublasHandle_t handle_ = nullptr;
};

template <typename T>
constexpr cudaDataType type_of() {
  if constexpr (std::is_same_v<T, float>)
    return CUDA_R_32F;
  else if constexpr (std::is_same_v<T, double>)
    return CUDA_R_64F;
  else if constexpr (std::is_same_v<T, bfloat16>)
    return CUDA_R_16BF;
  else
    return CUDA_R_16F;
}

template <typename T>
double exact(T value) {
  return static_cast<double>(static_cast<Accumulator<T>>(value));
}

/// A batch of products with drawn sizes, transposes and leading dimensions; whole numbers, so that all sums are exact.
template <typename T, typename C>
void check_products(Shares& shares, std::uint64_t seed) {
  draw_order(shares, seed);
  const int m = draw_between(0, 9), n = draw_between(0, 9), k = draw_between(0, 9), batch = draw_between(1, 3);
  const bool ta = draw_between(0, 1) != 0, tb = draw_between(0, 1) != 0;
  const int lda = std::max(1, ta ? k : m) + draw_between(0, 3), ldb = std::max(1, tb ? n : k) + draw_between(0, 3);
  const int ldc = std::max(1, m) + draw_between(0, 3);
  const int a_size = lda * (ta ? m : k), b_size = ldb * (tb ? k : n), c_size = ldc * n;
  const bool keep = draw_between(0, 1) != 0;  // beta is 2, else 0 and C holds NaN
  const auto a = draw_whole_numbers<T>(a_size * batch), b = draw_whole_numbers<T>(b_size * batch);
  auto c = draw_whole_numbers<C>(c_size * batch);
  if (!keep) c.assign(c.size(), static_cast<C>(std::numeric_limits<float>::quiet_NaN()));
  const DeviceArray<T> da(a), db(b);
  const DeviceArray<C> dc(c);
  using Scalar = Accumulator<T>;
  const Scalar alpha = 0.5, beta = keep ? 2 : 0;
  shares.note("of sums of several terms", m * n > 0 && k > 1, 50);
  shares.note("transposed", ta || tb, 60);
  shares.note("with padded columns", ldc > m, 50);
  shares.note("added to what is there", keep, 30);
  shares.note("of several products", batch > 1, 30);
  const Handle handle;
  check(cublasGemmStridedBatchedEx(
      handle, ta ? CUBLAS_OP_T : CUBLAS_OP_N, tb ? CUBLAS_OP_T : CUBLAS_OP_N, m, n, k, &alpha, da.data(), type_of<T>(),
      lda, a_size, db.data(), type_of<T>(), ldb, b_size, &beta, dc.data(), type_of<C>(), ldc, c_size, batch,
      std::is_same_v<T, double> ? CUBLAS_COMPUTE_64F : CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT));
  const auto got = dc.host();
  for (int s = 0; s < batch; ++s) {
    for (int j = 0; j < n; ++j) {
      for (int i = 0; i < ldc; ++i) {
        const int at = s * c_size + j * ldc + i;
        if (i >= m) {  // between the columns nothing is touched
          const bool same = exact(got[at]) == exact(c[at]) || (!keep && std::isnan(exact(got[at])));
          RC_ASSERT(same);
          continue;
        }
        double sum = 0;
        for (int l = 0; l < k; ++l) {
          sum += exact(a[s * a_size + (ta ? i * lda + l : l * lda + i)]) *
                 exact(b[s * b_size + (tb ? l * ldb + j : j * ldb + l)]);
        }
        const double expected = 0.5 * sum + (keep ? 2 * exact(c[at]) : 0);
        RC_ASSERT(exact(got[at]) == exact(static_cast<C>(static_cast<Accumulator<C>>(expected))));
      }
    }
  }
}
FOLIO_PROPERTY(Cublas, FloatProducts) { check_products<float, float>(shares, seed); }
FOLIO_PROPERTY(Cublas, DoubleProducts) { check_products<double, double>(shares, seed); }
FOLIO_PROPERTY(Cublas, Bfloat16ProductsIntoFloat) { check_products<bfloat16, float>(shares, seed); }
FOLIO_PROPERTY(Cublas, Bfloat16Products) { check_products<bfloat16, bfloat16>(shares, seed); }
FOLIO_PROPERTY(Cublas, Float16ProductsIntoFloat) { check_products<float16, float>(shares, seed); }
FOLIO_PROPERTY(Cublas, Float16Products) { check_products<float16, float16>(shares, seed); }

TEST(Cublas, SixteenBitInputsAreAddedUpInFloat) {
  const int k = 4096;  // 1 + 4095 · 2^-9 would stay near 1 if the sum itself had 8 bits
  const DeviceArray<bfloat16> a(std::vector<bfloat16>(k, bfloat16(1.0f))),
      b(std::vector<bfloat16>(k, bfloat16(0x1p-9f)));
  const DeviceArray<float> c(1);
  const Handle handle;
  const float one = 1, zero = 0;
  check(cublasGemmEx(handle, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, k, &one, a.data(), CUDA_R_16BF, 1, b.data(), CUDA_R_16BF,
                     k, &zero, c.data(), CUDA_R_32F, 1, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT));
  EXPECT_EQ(c.host()[0], 8.0f);
}

TEST(Cublas, Tf32RoundsItsInputsAndOnlyWhereAsked) {
  const float x = 1 + 0x1p-12f;  // beyond TF32's ten bits
  const DeviceArray<float> a(std::vector<float>{x}), b(std::vector<float>{1}), c(1);
  const Handle handle;
  const float one = 1, zero = 0;
  const auto product = [&](cublasComputeType_t compute) {
    check(cublasGemmEx(handle, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 1, &one, a.data(), CUDA_R_32F, 1, b.data(), CUDA_R_32F,
                       1, &zero, c.data(), CUDA_R_32F, 1, compute, CUBLAS_GEMM_DEFAULT));
    return c.host()[0];
  };
  EXPECT_EQ(product(CUBLAS_COMPUTE_32F), x);
  EXPECT_EQ(product(CUBLAS_COMPUTE_32F_FAST_TF32), 1.0f);
  check(cublasSetMathMode(handle, CUBLAS_TF32_TENSOR_OP_MATH));
  EXPECT_EQ(product(CUBLAS_COMPUTE_32F), 1.0f);
  EXPECT_EQ(product(CUBLAS_COMPUTE_32F_PEDANTIC), x);
}

TEST(Cublas, GroupsOfDifferentSizes) {
  const DeviceArray<float> x(std::vector<float>{1, 2, 3, 4, 5, 6}), w(std::vector<float>{10, 100, 1000});
  const DeviceArray<float> y(6);
  // Group 0: two products of 1 × 1; group 1: one of 2 × 1 by 1 × 2.
  const DeviceArray<const void*> a(std::vector<const void*>{x.data(), x.data() + 1, x.data() + 2});
  const DeviceArray<const void*> b(std::vector<const void*>{w.data(), w.data() + 1, w.data()});
  const DeviceArray<void*> c(std::vector<void*>{y.data(), y.data() + 1, y.data() + 2});
  const cublasOperation_t n[2] = {CUBLAS_OP_N, CUBLAS_OP_N};
  const int rows[2] = {1, 2}, columns[2] = {1, 2}, inner[2] = {1, 1}, one_each[2] = {1, 1}, sizes[2] = {2, 1};
  const float alpha[2] = {1, 2}, beta[2] = {0, 0};
  const Handle handle;
  cudaStream_t stream;
  check(cudaStreamCreate(&stream));
  check(cublasSetStream(handle, stream));
  check(cublasGemmGroupedBatchedEx(handle, n, n, rows, columns, inner, alpha, a.data(), CUDA_R_32F, rows, b.data(),
                                   CUDA_R_32F, one_each, beta, c.data(), CUDA_R_32F, rows, 2, sizes,
                                   CUBLAS_COMPUTE_32F));
  check(cudaStreamSynchronize(stream));
  EXPECT_EQ(y.host(), (std::vector<float>{10, 200, 60, 80, 600, 800}));
  check(cudaStreamDestroy(stream));
}

/// Groups of drawn sizes, transposes and leading dimensions, one to three products each; whole numbers, so that all sums are
/// exact. Each matrix has memory of its own, which begins at a multiple of 16 bytes.
template <typename T>
void check_groups(Shares& shares, std::uint64_t seed) {
  draw_order(shares, seed);
  struct Matrices {
    DeviceArray<T> a, b, c;
    std::vector<T> a_values, b_values, c_values;
    int group;
  };
  const int groups = draw_between(0, 3);
  std::vector<cublasOperation_t> op_a, op_b;
  std::vector<int> m, n, k, lda, ldb, ldc, sizes;
  std::vector<Accumulator<T>> alpha, beta;
  std::vector<std::unique_ptr<Matrices>> all;
  const auto draw_operation = [] { return draw_between(0, 1) != 0 ? CUBLAS_OP_T : CUBLAS_OP_N; };
  for (int g = 0; g < groups; ++g) {
    op_a.push_back(draw_operation()), op_b.push_back(draw_operation());
    for (auto* extent : {&m, &n, &k}) extent->push_back(draw_between(0, 9));
    lda.push_back(std::max(1, op_a[g] == CUBLAS_OP_T ? k[g] : m[g]) + draw_between(0, 3));
    ldb.push_back(std::max(1, op_b[g] == CUBLAS_OP_T ? n[g] : k[g]) + draw_between(0, 3));
    ldc.push_back(std::max(1, m[g]) + draw_between(0, 3));
    alpha.push_back(draw_between(1, 2)), beta.push_back(draw_between(0, 1));
    sizes.push_back(draw_between(0, 3));
    for (int i = 0; i < sizes[g]; ++i) {
      auto a = draw_whole_numbers<T>(lda[g] * (op_a[g] == CUBLAS_OP_T ? m[g] : k[g]));
      auto b = draw_whole_numbers<T>(ldb[g] * (op_b[g] == CUBLAS_OP_T ? k[g] : n[g]));
      auto c = draw_whole_numbers<T>(ldc[g] * n[g]);
      all.emplace_back(new Matrices{DeviceArray<T>(a), DeviceArray<T>(b), DeviceArray<T>(c), a, b, c, g});
    }
  }
  const auto sums = [&](const auto& x) { return m[x->group] * n[x->group] > 0 && k[x->group] > 1; };
  shares.note("of several groups", groups > 1, 40);
  shares.note("of groups of several products", std::ranges::any_of(sizes, [](int size) { return size > 1; }), 40);
  shares.note("of sums of several terms", std::ranges::any_of(all, sums), 35);
  shares.note("added to what is there", std::ranges::any_of(beta, [](auto factor) { return factor != 0; }), 30);
  std::vector<const void*> a, b;
  std::vector<void*> c;
  for (const auto& x : all) a.push_back(x->a.data()), b.push_back(x->b.data()), c.push_back(x->c.data());
  const DeviceArray<const void*> a_there(a), b_there(b);
  const DeviceArray<void*> c_there(c);
  const Handle handle;
  check(cublasGemmGroupedBatchedEx(handle, op_a.data(), op_b.data(), m.data(), n.data(), k.data(), alpha.data(),
                                   a_there.data(), type_of<T>(), lda.data(), b_there.data(), type_of<T>(), ldb.data(),
                                   beta.data(), c_there.data(), type_of<T>(), ldc.data(), groups, sizes.data(),
                                   std::is_same_v<T, double> ? CUBLAS_COMPUTE_64F : CUBLAS_COMPUTE_32F));
  for (const auto& one : all) {
    const Matrices& x = *one;
    const int g = x.group;
    const auto got = x.c.host();
    for (int j = 0; j < n[g]; ++j) {
      for (int i = 0; i < m[g]; ++i) {
        double sum = 0;
        for (int l = 0; l < k[g]; ++l) {
          sum += exact(x.a_values[op_a[g] == CUBLAS_OP_T ? i * lda[g] + l : l * lda[g] + i]) *
                 exact(x.b_values[op_b[g] == CUBLAS_OP_T ? l * ldb[g] + j : j * ldb[g] + l]);
        }
        const int at = j * ldc[g] + i;
        RC_ASSERT(exact(got[at]) == exact(narrow<T>(alpha[g] * sum + beta[g] * exact(x.c_values[at]))));
      }
    }
  }
}
FOLIO_PROPERTY(Cublas, GroupsOfFloatProducts) { check_groups<float>(shares, seed); }
FOLIO_PROPERTY(Cublas, GroupsOfDoubleProducts) { check_groups<double>(shares, seed); }
FOLIO_PROPERTY(Cublas, GroupsOfBfloat16Products) { check_groups<bfloat16>(shares, seed); }
FOLIO_PROPERTY(Cublas, GroupsOfFloat16Products) { check_groups<float16>(shares, seed); }

/// One product of 1 × k by k × 1 as a group of its own, from `offset` elements after a multiple of 16 bytes.
template <typename T>
cublasStatus_t grouped_dot(int k, int offset, cudaDataType c_type, cublasComputeType_t compute) {
  const DeviceArray<T> x(k + offset), y(8);
  const DeviceArray<const void*> a(std::vector<const void*>{x.data() + offset});
  const DeviceArray<void*> c(std::vector<void*>{y.data()});
  const cublasOperation_t n = CUBLAS_OP_N;
  const int one = 1;
  const float alpha = 1, beta = 0;
  const Handle handle;
  const cublasStatus_t status =
      cublasGemmGroupedBatchedEx(handle, &n, &n, &one, &one, &k, &alpha, a.data(), type_of<T>(), &one, a.data(),
                                 type_of<T>(), &k, &beta, c.data(), c_type, &one, 1, &one, compute);
  check(cudaDeviceSynchronize());
  return status;
}

TEST(Cublas, GroupsAskForAlignedAddressesWhereTensorCoresReadThem) {
  const auto aligned = [](const std::function<cublasStatus_t()>& product) {
    try {
      EXPECT_EQ(product(), CUBLAS_STATUS_SUCCESS);
      return true;
    } catch (const Fault& fault) {
      EXPECT_EQ(fault.kind(), FaultKind::alignment) << fault.what();
      return false;
    }
  };
  const auto half = [](int k, int offset) {
    return [=] { return grouped_dot<bfloat16>(k, offset, CUDA_R_16BF, CUBLAS_COMPUTE_32F); };
  };
  EXPECT_TRUE(aligned(half(8, 0)));
  EXPECT_FALSE(aligned(half(8, 2)));  // k elements are 16 bytes
  EXPECT_TRUE(aligned(half(6, 2)));   // 12 bytes
  EXPECT_FALSE(aligned(half(6, 1)));
  EXPECT_TRUE(aligned(half(5, 1)));  // 10 bytes
  EXPECT_TRUE(aligned([] { return grouped_dot<float>(4, 1, CUDA_R_32F, CUBLAS_COMPUTE_32F); }));
  EXPECT_FALSE(aligned([] { return grouped_dot<float>(4, 1, CUDA_R_32F, CUBLAS_COMPUTE_32F_FAST_TF32); }));
}

TEST(Cublas, GroupsAskForAlignedArraysOfAddresses) {
  const DeviceArray<float> x(std::vector<float>{3}), y(1);
  const DeviceArray<void*> addresses(std::vector<void*>{x.data(), x.data(), y.data(), y.data()});
  const cublasOperation_t n = CUBLAS_OP_N;
  const int one = 1;
  const float alpha = 1, beta = 0;
  const Handle handle;
  const auto product = [&](int a, int b, int c) {
    check(cublasGemmGroupedBatchedEx(handle, &n, &n, &one, &one, &one, &alpha, addresses.data() + a, CUDA_R_32F, &one,
                                     addresses.data() + b, CUDA_R_32F, &one, &beta, addresses.data() + c, CUDA_R_32F,
                                     &one, 1, &one, CUBLAS_COMPUTE_32F));
    check(cudaDeviceSynchronize());
  };
  product(0, 0, 2);
  EXPECT_EQ(y.host()[0], 9.0f);
  for (const auto& [a, b, c] : {std::array{1, 0, 2}, {0, 1, 2}, {0, 0, 3}}) EXPECT_THROW(product(a, b, c), Fault);
}

TEST(Cublas, GroupsHaveResultsOfTheTypeOfTheirOperands) {
  EXPECT_EQ(grouped_dot<bfloat16>(8, 0, CUDA_R_32F, CUBLAS_COMPUTE_32F), CUBLAS_STATUS_NOT_SUPPORTED);
  EXPECT_EQ(grouped_dot<float16>(8, 0, CUDA_R_16F, CUBLAS_COMPUTE_32F_FAST_TF32), CUBLAS_STATUS_NOT_SUPPORTED);
}

TEST(Cublas, RefusesWhatCublasRefuses) {
  const DeviceArray<float> a(4), c(4);
  const Handle handle;
  const float one = 1, zero = 0;
  const auto sgemm = [&](int m, int n, int k, int lda, int ldb, int ldc) {
    return cublasSgemm(handle, CUBLAS_OP_N, CUBLAS_OP_N, m, n, k, &one, a.data(), lda, a.data(), ldb, &zero, c.data(),
                       ldc);
  };
  EXPECT_EQ(sgemm(2, 2, 2, 2, 2, 2), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(sgemm(-1, 2, 2, 2, 2, 2), CUBLAS_STATUS_INVALID_VALUE);
  EXPECT_EQ(sgemm(2, 2, 2, 1, 2, 2), CUBLAS_STATUS_INVALID_VALUE);
  EXPECT_EQ(sgemm(2, 2, 2, 2, 1, 2), CUBLAS_STATUS_INVALID_VALUE);
  EXPECT_EQ(sgemm(2, 2, 2, 2, 2, 1), CUBLAS_STATUS_INVALID_VALUE);
  EXPECT_EQ(sgemm(0, 0, 0, 1, 1, 1), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(cublasGemmEx(handle, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 1, &one, a.data(), CUDA_R_32F, 1, a.data(), CUDA_R_16F,
                         1, &zero, c.data(), CUDA_R_32F, 1, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT),
            CUBLAS_STATUS_NOT_SUPPORTED);
  EXPECT_THROW(check(CUBLAS_STATUS_NOT_SUPPORTED), Error);
}

TEST(Cublas, MatricesStayInside) {
  const DeviceArray<float> a(5), c(4);
  const Handle handle;
  const float one = 1, zero = 0;
  check(cublasSgemm(handle, CUBLAS_OP_N, CUBLAS_OP_N, 2, 2, 3, &one, a.data(), 2, a.data(), 3, &zero, c.data(), 2));
  try {
    check(cudaDeviceSynchronize());
    ADD_FAILURE() << "A is 2 × 3 in memory of 5";
  } catch (const Fault& fault) {
    EXPECT_EQ(fault.kind(), FaultKind::memory);
    EXPECT_NE(std::string(fault.what()).find("A, 2 × 3 with leading dimension 2"), std::string::npos) << fault.what();
  }
}

}  // namespace
}  // namespace folio::cuda_emulated
