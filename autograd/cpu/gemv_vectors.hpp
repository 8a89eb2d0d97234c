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
#include <type_traits>
#include <utility>

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
constexpr int sums_at_once = vector_bytes == 64 ? 16 : 8;
/// Of those, that are made side by side, so that additions do not wait for each other.
constexpr int sums_in_flight = vector_bytes == 64 ? 4 : 8;
using Vector [[gnu::vector_size(vector_bytes)]] = float;

/// Calls f(0) to f(count − 1) with constants, so that what they number can stay in registers.
template <int count, class F>
[[gnu::always_inline]] inline void unrolled(F&& f) {
  [&]<int... i>(std::integer_sequence<int, i...>) __attribute__((always_inline)) {
    (f(std::integral_constant<int, i>{}), ...);
  }
  (std::make_integer_sequence<int, count>{});
}

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

/// How rows of T are added up, each times an element of a vector: `depth` rows at once, of which `step` columns are a block
/// of step/lanes sums. The vector's elements, kept as `Element`, lie `depth` together.
template <class T>
struct RowTerms {
  using Element = float;
  struct Block {
    Vector parts[1];
  };
  static constexpr int depth = 1, step = lanes;
  static Block block(const std::array<const T*, depth>& rows) { return {{load(rows[0])}}; }
  static Vector add(Vector sum, Vector w, const float* x) {
    return add_product(sum, w, *x - Vector{});  // in every lane, −0 too
  }
};

#if defined(FOLIO_AVX512) && defined(__AVX512BF16__)
// Without widening: pairs are multiplied and added in float32, numbers below the least normal one taken as 0.

inline __m512i bits_of(const bfloat16* x) { return _mm512_loadu_si512(x); }

template <>
struct Terms<bfloat16> {
  using Element = bfloat16;
  static constexpr int step = 2 * lanes;
  static Vector add(Vector sum, const bfloat16* w, const bfloat16* x) {
    return _mm512_dpbf16_ps(sum, std::bit_cast<__m512bh>(bits_of(w)), std::bit_cast<__m512bh>(bits_of(x)));
  }
};

template <>
struct RowTerms<bfloat16> {
  using Element = bfloat16;
  struct Block {
    __m512bh parts[2];
  };
  static constexpr int depth = 2, step = 2 * lanes;
  static Block block(const std::array<const bfloat16*, depth>& rows) {
    const __m512i first = bits_of(rows[0]), second = bits_of(rows[1]);
    const auto pairs_from = [&](std::uint16_t column) {
      std::array<std::uint16_t, step> from;  // the second row's begin at `step`
      for (std::uint16_t i = 0; i < step; ++i) from[i] = column + i / 2 + i % 2 * step;
      return std::bit_cast<__m512bh>(_mm512_permutex2var_epi16(first, std::bit_cast<__m512i>(from), second));
    };
    return {{pairs_from(0), pairs_from(lanes)}};
  }
  static Vector add(Vector sum, __m512bh w, const bfloat16* x) {
    std::int32_t pair;
    std::memcpy(&pair, x, sizeof pair);
    return _mm512_dpbf16_ps(sum, w, std::bit_cast<__m512bh>(_mm512_set1_epi32(pair)));
  }
};
#endif

/// The sum of each vector's lanes.
[[gnu::always_inline]] inline void totals(const std::array<Vector, sums_at_once>& of, float* sums) {
#if defined(FOLIO_AVX512)
  const auto halves = [&](std::size_t i, std::size_t j) -> __m512 {  // two quarters of each, four sums in a quarter
    return _mm512_shuffle_f32x4(of[i], of[j], 0x44) + _mm512_shuffle_f32x4(of[i], of[j], 0xEE);
  };
  const auto quarters = [&](std::size_t i) -> __m512 {  // one quarter of i, i + 4, i + 8 and i + 12
    const __m512 low = halves(i, i + 4), high = halves(i + 8, i + 12);
    return _mm512_shuffle_f32x4(low, high, 0x88) + _mm512_shuffle_f32x4(low, high, 0xDD);
  };
  const auto pairs = [&](std::size_t i) -> __m512d {
    const __m512 even = quarters(i), odd = quarters(i + 1);
    return _mm512_castps_pd(_mm512_unpacklo_ps(even, odd) + _mm512_unpackhi_ps(even, odd));
  };
  const __m512d low = pairs(0), high = pairs(2);
  _mm512_storeu_ps(sums,
                   _mm512_castpd_ps(_mm512_unpacklo_pd(low, high)) + _mm512_castpd_ps(_mm512_unpackhi_pd(low, high)));
#elif defined(FOLIO_AVX2)
  const auto four = [&](std::size_t i) {
    return _mm256_hadd_ps(_mm256_hadd_ps(of[i], of[i + 1]), _mm256_hadd_ps(of[i + 2], of[i + 3]));
  };
  const __m256 first = four(0), second = four(4);
  _mm256_storeu_ps(sums, _mm256_permute2f128_ps(first, second, 0x20) + _mm256_permute2f128_ps(first, second, 0x31));
#else
  for (std::size_t i = 0; i < of.size(); ++i) {
    const auto each = std::bit_cast<std::array<float, lanes> >(of[i]);
    sums[i] = std::accumulate(each.begin(), each.end(), 0.0F);
  }
#endif
}

}  // namespace folio::cpu
