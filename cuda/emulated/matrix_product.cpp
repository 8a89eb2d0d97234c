#define EIGEN_DONT_PARALLELIZE
#include "cuda/emulated/matrix_product.hpp"

#include <Eigen/Core>
#include <algorithm>
#include <bit>
#include <cstdint>
#include <string>

#include "cuda/emulated/device_memory.hpp"
#include "cuda/emulated/fault.hpp"
#define FOLIO_CUDA_EMULATED
#include "cuda/kernel.hpp"

namespace folio::cuda_emulated {
namespace {

template <typename T>
using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic>;
template <typename T>
using View = Eigen::Map<T, 0, Eigen::OuterStride<>>;

float tf32_rounded(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  if ((bits & 0x7f800000u) == 0x7f800000u) return x;
  return std::bit_cast<float>((bits + 0xfffu + (bits >> 13 & 1u)) & ~0x1fffu);
}

void require_matrix(char name, const void* data, int rows, int columns, int leading, cudaDataType type) {
  if (rows == 0 || columns == 0) return;
  const std::size_t elements = static_cast<std::size_t>(leading) * (columns - 1) + rows;
  const Home home = home_of(data, elements * size_of(type));
  if (home == Home::device || home == Home::pinned) return;
  throw Fault(FaultKind::memory, std::string("matrix product: ") + name + ", " + std::to_string(rows) + " × " +
                                     std::to_string(columns) + " with leading dimension " + std::to_string(leading) +
                                     ", reaches outside its memory: it begins at " + describe_address(data));
}

/// A matrix as it is stored, seen where it lies, or converted first to the type that is computed in.
template <typename T, typename Stored>
struct Operand {
  Matrix<T> converted;
  View<const Matrix<T>> view;

  Operand(const void* data, int rows, int columns, int leading, bool tf32) : view(nullptr, 0, 0, 1) {
    const auto* x = static_cast<const Stored*>(data);
    if constexpr (std::is_same_v<T, Stored>) {
      if (!tf32) {
        new (&view) View<const Matrix<T>>(x, rows, columns, Eigen::OuterStride<>(leading));
        return;
      }
    }
    converted.resize(rows, columns);
    for (std::ptrdiff_t j = 0; j < columns; ++j) {
      for (std::ptrdiff_t i = 0; i < rows; ++i) {
        const T value = static_cast<T>(x[j * leading + i]);
        converted(i, j) = tf32 ? static_cast<T>(tf32_rounded(static_cast<float>(value))) : value;
      }
    }
    new (&view) View<const Matrix<T>>(converted.data(), rows, columns, Eigen::OuterStride<>(std::max(rows, 1)));
  }
};

/// target += alpha · op(A) · op(B)
template <typename T, typename Stored, typename Target>
void add_product(const Product& p, Target&& target) {
  const Operand<T, Stored> a(p.a, p.transpose_a ? p.k : p.m, p.transpose_a ? p.m : p.k, p.lda, p.tf32);
  const Operand<T, Stored> b(p.b, p.transpose_b ? p.n : p.k, p.transpose_b ? p.k : p.n, p.ldb, p.tf32);
  const T alpha = static_cast<T>(p.alpha);
  if (p.transpose_a && p.transpose_b)
    target.noalias() += alpha * a.view.transpose() * b.view.transpose();
  else if (p.transpose_a)
    target.noalias() += alpha * a.view.transpose() * b.view;
  else if (p.transpose_b)
    target.noalias() += alpha * a.view * b.view.transpose();
  else
    target.noalias() += alpha * a.view * b.view;
}

template <typename T, typename Stored>
void multiply_as(const Product& p) {
  if (size_of(p.c_type) == sizeof(T)) {
    View<Matrix<T>> c(static_cast<T*>(p.c), p.m, p.n, Eigen::OuterStride<>(p.ldc));
    if (p.beta == 0)
      c.setZero();
    else
      c *= static_cast<T>(p.beta);
    return add_product<T, Stored>(p, c);
  }
  auto* c = static_cast<Stored*>(p.c);
  Matrix<T> sum(p.m, p.n);
  for (std::ptrdiff_t j = 0; j < p.n; ++j) {
    for (std::ptrdiff_t i = 0; i < p.m; ++i) {
      sum(i, j) = p.beta == 0 ? T{0} : static_cast<T>(p.beta) * static_cast<T>(c[j * p.ldc + i]);
    }
  }
  add_product<T, Stored>(p, sum);
  for (std::ptrdiff_t j = 0; j < p.n; ++j) {
    for (std::ptrdiff_t i = 0; i < p.m; ++i) c[j * p.ldc + i] = static_cast<Stored>(sum(i, j));
  }
}

}  // namespace

std::size_t size_of(cudaDataType type) { return type == CUDA_R_64F ? 8 : type == CUDA_R_32F ? 4 : 2; }

void multiply(const Product& p) {
  if (p.m == 0 || p.n == 0) return;
  require_matrix('A', p.a, p.transpose_a ? p.k : p.m, p.transpose_a ? p.m : p.k, p.lda, p.ab_type);
  require_matrix('B', p.b, p.transpose_b ? p.n : p.k, p.transpose_b ? p.k : p.n, p.ldb, p.ab_type);
  require_matrix('C', p.c, p.m, p.n, p.ldc, p.c_type);
  switch (p.ab_type) {
    case CUDA_R_32F: return multiply_as<float, float>(p);
    case CUDA_R_64F: return multiply_as<double, double>(p);
    case CUDA_R_16F: return multiply_as<float, float16>(p);
    case CUDA_R_16BF: return multiply_as<float, bfloat16>(p);
  }
}

}  // namespace folio::cuda_emulated
