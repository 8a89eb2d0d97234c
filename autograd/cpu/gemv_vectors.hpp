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
/// Sums that are kept in registers.
constexpr int sums_at_once = vector_bytes == 64 ? 16 : 8;
/// Sums that are made side by side at least, so that additions do not wait for each other.
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

/// The first `count` < size of x, and zeros.
template <int size, class T>
std::array<T, size> padded(const T* x, std::int64_t count) {
  std::array<T, size> all = {};
  std::copy_n(x, count, all.begin());
  return all;
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
  /// The first `count` columns of the `present` rows that are there, and zeros.
  static Block block(const T* w, std::int64_t /*w_stride*/, std::int64_t /*present*/, std::int64_t count) {
    return {{count == step ? load(w) : load(padded<step>(w, count).data())}};
  }
  static Vector add(Vector sum, Vector w, const float* x) {
    return add_product(sum, w, *x - Vector{});  // in every lane, −0 too
  }
};

#if defined(FOLIO_AVX512) && defined(__AVX512BW__) && defined(__AVX512BF16__)
// Without widening: pairs are multiplied and added in float32; factors and sums below the least normal number are 0.

template <>
struct Terms<bfloat16> {
  using Element = bfloat16;
  static constexpr int step = 2 * lanes;
  static __m512bh pairs(const bfloat16* x) { return std::bit_cast<__m512bh>(_mm512_loadu_si512(x)); }
  static Vector add(Vector sum, const bfloat16* w, const bfloat16* x) {
    return _mm512_dpbf16_ps(sum, pairs(w), pairs(x));
  }
};

template <>
struct RowTerms<bfloat16> {
  using Element = bfloat16;
  struct Block {
    __m512bh parts[2];
  };
  static constexpr int depth = 2, step = 2 * lanes;
  /// Of each column a pair, of the two rows.
  static Block block(const bfloat16* w, std::int64_t w_stride, std::int64_t present, std::int64_t count) {
    const auto there = static_cast<__mmask32>((std::uint64_t{1} << count) - 1);
    const __m512i first = _mm512_maskz_loadu_epi16(there, w);
    const __m512i second = present < depth ? __m512i{} : _mm512_maskz_loadu_epi16(there, w + w_stride);
    const auto pairs_from = [&](std::size_t column) {
      std::array<std::uint16_t, step> from;
      for (std::size_t i = 0; i < step; ++i) {
        const std::size_t of_second = i % 2 * step;
        from[i] = static_cast<std::uint16_t>(of_second + column + i / 2);
      }
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
[[gnu::always_inline]] inline void totals(const std::array<Vector, sums_at_once>& of,
                                          std::array<float, sums_at_once>& sums) {
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
  _mm512_storeu_ps(sums.data(),
                   _mm512_castpd_ps(_mm512_unpacklo_pd(low, high)) + _mm512_castpd_ps(_mm512_unpackhi_pd(low, high)));
#elif defined(FOLIO_AVX2)
  const auto four = [&](std::size_t i) {
    return _mm256_hadd_ps(_mm256_hadd_ps(of[i], of[i + 1]), _mm256_hadd_ps(of[i + 2], of[i + 3]));
  };
  const __m256 first = four(0), second = four(4);
  _mm256_storeu_ps(sums.data(),
                   _mm256_permute2f128_ps(first, second, 0x20) + _mm256_permute2f128_ps(first, second, 0x31));
#else
  for (std::size_t i = 0; i < of.size(); ++i) {
    const auto each = std::bit_cast<std::array<float, lanes> >(of[i]);
    sums[i] = std::accumulate(each.begin(), each.end(), 0.0F);
  }
#endif
}

}  // namespace folio::cpu
