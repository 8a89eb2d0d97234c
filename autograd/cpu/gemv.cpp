#include "autograd/cpu/gemv.hpp"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#define FOLIO_AVX2
#include <immintrin.h>
#endif

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <vector>

#include "autograd/cpu/elementwise.hpp"

namespace folio::cpu {
namespace {

#ifdef FOLIO_AVX2
constexpr int vector_bytes = 32;
#else
constexpr int vector_bytes = 16;
#endif
constexpr int lanes = vector_bytes / static_cast<int>(sizeof(float));
using Vector [[gnu::vector_size(vector_bytes)]] = float;

Vector load(const float* x) {
  Vector v;
  std::memcpy(&v, x, sizeof v);
  return v;
}
#ifdef FOLIO_AVX2
__m128i halves(const void* x) { return _mm_loadu_si128(static_cast<const __m128i*>(x)); }
#else
template <class T>
Vector widened(const T* x) {
  std::array<float, lanes> wide;
  for (std::size_t i = 0; i < lanes; ++i) wide[i] = static_cast<float>(x[i]);
  return load(wide.data());
}
#endif
Vector load(const bfloat16* x) {
#ifdef FOLIO_AVX2
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves(x)), 16));
#else
  return widened(x);
#endif
}
Vector load(const float16* x) {
#ifdef FOLIO_AVX2
  return _mm256_cvtph_ps(halves(x));
#else
  return widened(x);
#endif
}

/// The first `count` < lanes of x, and zeros.
template <class T>
Vector load_some(const T* x, std::int64_t count) {
  std::array<T, lanes> padded = {};
  std::copy_n(x, count, padded.begin());
  return load(padded.data());
}

/// Adds halves until one is left.
float total(Vector v) {
  std::array<float, lanes> each = std::bit_cast<std::array<float, lanes>>(v);
  for (std::size_t half = lanes / 2; half > 0; half /= 2) {
    for (std::size_t i = 0; i < half; ++i) each[i] += each[i + half];
  }
  return each[0];
}

/// sum + w·x, rounded in one way wherever it stands: the compiler is told to contract nothing.
Vector add_product(Vector sum, Vector w, Vector x) {
#ifdef FOLIO_AVX2
  return _mm256_fmadd_ps(w, x, sum);
#else
  return sum + w * x;
#endif
}

/// Σ_l w[l]·x[l]. x has zeros up to whole vectors.
template <class T>
float dot(const T* w, const float* x, std::int64_t k) {
  constexpr int chains = 4;  // sums that do not wait for each other
  Vector sums[chains] = {};
  std::int64_t l = 0;
  for (; l + chains * lanes <= k; l += chains * lanes) {
    for (int c = 0; c < chains; ++c) {
      sums[c] = add_product(sums[c], load(w + l + c * lanes), load(x + l + c * lanes));
    }
  }
  for (; l + lanes <= k; l += lanes) sums[0] = add_product(sums[0], load(w + l), load(x + l));
  if (l < k) sums[1] = add_product(sums[1], load_some(w + l, k - l), load(x + l));
  return total((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

/// sums[i] = Σ_l x[l]·w[l·stride + i] for the first `count` ≤ blocks·lanes elements of rows that begin at w.
template <int blocks, class T>
void sum_rows(const T* w, std::int64_t stride, const float* x, std::int64_t k, std::int64_t count, float* sums) {
  Vector sum[blocks] = {};
  const std::int64_t rest = count - (blocks - 1) * lanes;
  for (std::int64_t l = 0; l < k; ++l, w += stride) {
    const Vector factor = Vector{} + x[l];
    for (int b = 0; b + 1 < blocks; ++b) sum[b] = add_product(sum[b], load(w + b * lanes), factor);
    const T* last = w + (blocks - 1) * lanes;
    sum[blocks - 1] = add_product(sum[blocks - 1], rest == lanes ? load(last) : load_some(last, rest), factor);
  }
  std::memcpy(sums, sum, sizeof sum);
}

/// y[i] = Σ_l W[i, l]·x[l], or y += W·x.
template <class T, class Out>
struct Rows {
  std::int64_t rows, k;
  Matrix<const T> w;
  const T* x;
  std::int64_t x_stride;
  Out* y;
  std::int64_t y_stride;
  bool accumulate;

  void give(std::int64_t row, float sum) const {
    Out& out = y[row * y_stride];
    out = convert_to<Out>(accumulate ? convert_to<float>(out) + sum : sum);
  }
};

/// The product as one whose matrix stands at the left.
template <class T, class Out>
Rows<T, Out> rows_of(const Product<T, Out>& p) {
  if (p.n == 1) return {p.m, p.k, p.a, p.b.data, p.b.row_stride, p.c.data, p.c.row_stride, p.accumulate};
  return {p.n, p.k, p.b.transposed(), p.a.data, p.a.column_stride, p.c.data, 1, p.accumulate};
}

}  // namespace

template <class T, class Out>
void multiply_vector(const Product<T, Out>& product) {
  const Rows<T, Out> p = rows_of(product);
  static thread_local std::vector<float> x;
  x.resize(static_cast<std::size_t>((p.k + lanes - 1) / lanes * lanes));
  detail::pack_run(p.x, p.x_stride, p.k, x.data());
  std::fill(x.begin() + p.k, x.end(), 0.0F);
  if (p.w.column_stride == 1) {
    for (std::int64_t i = 0; i < p.rows; ++i) p.give(i, dot(p.w.data + i * p.w.row_stride, x.data(), p.k));
    return;
  }
  constexpr int blocks = 4;
  std::array<float, blocks * lanes> sums;
  for (std::int64_t i = 0; i < p.rows;) {
    const T* w = p.w.data + i;
    const bool wide = p.rows - i >= blocks * lanes;
    const std::int64_t count = wide ? blocks * lanes : std::min<std::int64_t>(lanes, p.rows - i);
    if (wide) {
      sum_rows<blocks>(w, p.w.column_stride, x.data(), p.k, count, sums.data());
    } else {
      sum_rows<1>(w, p.w.column_stride, x.data(), p.k, count, sums.data());
    }
    for (std::int64_t j = 0; j < count; ++j) p.give(i + j, sums[static_cast<std::size_t>(j)]);
    i += count;
  }
}

template void multiply_vector(const Product<float>&);
template void multiply_vector(const Product<bfloat16>&);
template void multiply_vector(const Product<bfloat16, float>&);
template void multiply_vector(const Product<float16>&);
template void multiply_vector(const Product<float16, float>&);

}  // namespace folio::cpu
