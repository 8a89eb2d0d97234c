#pragma once
// What products of a matrix and a few vectors ask of the processor: vectors of floats, and loads that widen to them.
// For gemv.cpp alone: what the names mean depends on the flags that it is compiled with.
#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#define FOLIO_AVX2
#if defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
#define FOLIO_AVX512
#endif
#include <immintrin.h>
#endif

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <numeric>

#include "autograd/dtype.hpp"

namespace folio::cpu {

#if defined(FOLIO_AVX512)
constexpr int vector_bytes = 64;
#elif defined(FOLIO_AVX2)
constexpr int vector_bytes = 32;
#else
constexpr int vector_bytes = 16;
#endif
constexpr int lanes = vector_bytes / static_cast<int>(sizeof(float));
/// Sums of one product that are kept in registers.
constexpr int sums_at_once = 8;
/// Of those, that are made side by side, so that additions do not wait for each other.
constexpr int sums_in_flight = vector_bytes == 64 ? 4 : 8;
using Vector [[gnu::vector_size(vector_bytes)]] = float;

inline Vector load(const float* x) {
  Vector v;
  std::memcpy(&v, x, sizeof v);
  return v;
}
template <class T>
Vector widened(const T* x) {
  std::array<float, lanes> wide;
  for (std::size_t i = 0; i < lanes; ++i) wide[i] = static_cast<float>(x[i]);
  return load(wide.data());
}
inline Vector load(const bfloat16* x) {
#if defined(FOLIO_AVX512)
  const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
#elif defined(FOLIO_AVX2)
  const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(x));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
#else
  return widened(x);
#endif
}
inline Vector load(const float16* x) {
#if defined(FOLIO_AVX512)
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(x)));
#elif defined(FOLIO_AVX2)
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x)));
#else
  return widened(x);
#endif
}

/// sum + w·x, rounded in one way wherever it stands: the compiler is told to contract nothing.
inline Vector add_product(Vector sum, Vector w, Vector x) {
#if defined(FOLIO_AVX512)
  return _mm512_fmadd_ps(w, x, sum);
#elif defined(FOLIO_AVX2)
  return _mm256_fmadd_ps(w, x, sum);
#else
  return sum + w * x;
#endif
}

/// How a dot product takes elements of T: `step` at once, those of the vector kept as `Element`.
template <class T>
struct Terms {
  using Element = float;
  static constexpr int step = lanes;
  static Vector add(Vector sum, const T* w, const float* x) { return add_product(sum, load(w), load(x)); }
};
#if defined(FOLIO_AVX512) && defined(__AVX512BF16__)
/// Without widening: pairs are multiplied and added in float32, numbers below the least normal one taken as 0.
template <>
struct Terms<bfloat16> {
  using Element = bfloat16;
  static constexpr int step = 2 * lanes;
  static __m512bh pairs(const bfloat16* x) {
    __m512bh v;
    std::memcpy(&v, x, sizeof v);
    return v;
  }
  static Vector add(Vector sum, const bfloat16* w, const bfloat16* x) {
    return _mm512_dpbf16_ps(sum, pairs(w), pairs(x));
  }
};
#endif

/// The sum of each vector's lanes.
inline std::array<float, sums_at_once> totals(const std::array<Vector, sums_at_once>& of) {
  std::array<float, sums_at_once> sums;
#ifdef FOLIO_AVX2
  const auto half = [&](std::size_t i) -> __m256 {
#ifdef FOLIO_AVX512
    return _mm512_castps512_ps256(of[i]) + _mm512_extractf32x8_ps(of[i], 1);
#else
    return of[i];
#endif
  };
  const auto four = [&](std::size_t i) {
    return _mm256_hadd_ps(_mm256_hadd_ps(half(i), half(i + 1)), _mm256_hadd_ps(half(i + 2), half(i + 3)));
  };
  const __m256 first = four(0), second = four(4);
  _mm256_storeu_ps(sums.data(),
                   _mm256_permute2f128_ps(first, second, 0x20) + _mm256_permute2f128_ps(first, second, 0x31));
#else
  for (std::size_t i = 0; i < sums.size(); ++i) {
    const auto each = std::bit_cast<std::array<float, lanes> >(of[i]);
    sums[i] = std::accumulate(each.begin(), each.end(), 0.0F);
  }
#endif
  return sums;
}

}  // namespace folio::cpu
