#include "autograd/cpu/gemv.hpp"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#define FOLIO_AVX2
#include <immintrin.h>
#endif

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <numeric>
#include <utility>
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

/// sum + w·x, rounded in one way wherever it stands: the compiler is told to contract nothing.
Vector add_product(Vector sum, Vector w, Vector x) {
#ifdef FOLIO_AVX2
  return _mm256_fmadd_ps(w, x, sum);
#else
  return sum + w * x;
#endif
}

constexpr int sums_at_once = 8;

/// The sum of each vector's lanes.
std::array<float, sums_at_once> totals(const std::array<Vector, sums_at_once>& of) {
  std::array<float, sums_at_once> sums;
#ifdef FOLIO_AVX2
  const auto four = [&](std::size_t i) {
    return _mm256_hadd_ps(_mm256_hadd_ps(of[i], of[i + 1]), _mm256_hadd_ps(of[i + 2], of[i + 3]));
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

/// sums[r·vectors + v] = Σ_l w[r][l]·x[v][l] of rows that are w_stride and `stride` apart. Those of x have zeros up to whole
/// vectors. The rows of w are read one after the other: memory gives one long run twice as fast as several short ones. A sum
/// is made in `parts`, so that additions do not wait for each other.
template <int rows, int vectors, class T>
std::array<float, sums_at_once> dots(const T* w, std::int64_t w_stride, const float* x, std::int64_t stride,
                                     std::int64_t k) {
  static_assert(rows * vectors <= sums_at_once);
  constexpr int parts = sums_at_once / vectors;
  std::array<Vector, sums_at_once> sums = {};
  auto* sum = sums.data();
  for (int r = 0; r < rows; ++r, w += w_stride, sum += vectors) {
    Vector part[vectors][parts] = {};
    const auto add = [&](int p, Vector row, const float* from) {
      for (int v = 0; v < vectors; ++v) part[v][p] = add_product(part[v][p], row, load(from + v * stride));
    };
    std::int64_t l = 0;
    for (; l + parts * lanes <= k; l += parts * lanes) {
      for (int p = 0; p < parts; ++p) add(p, load(w + l + p * lanes), x + l + p * lanes);
    }
    for (; l + lanes <= k; l += lanes) add(0, load(w + l), x + l);
    if (l < k) add(0, load_some(w + l, k - l), x + l);
    for (int v = 0; v < vectors; ++v) {
      for (int p = 0; p < parts; ++p) sum[v] += part[v][p];
    }
  }
  return totals(sums);
}

/// sums[v][i] += Σ_l x[l][v]·w[l·w_stride + i] for i < blocks·lanes or, of part of one block, `count`. The rows of sums are
/// `rows` apart. A function of its own, so that all sums stay in registers.
template <int vectors, int blocks, bool whole, class T>
[[gnu::noinline]] void add_rows(const T* w, std::int64_t w_stride, const float* x, std::int64_t k, std::int64_t count,
                                float* sums, std::int64_t rows) {
  const auto read = [&](const auto* from) {
    if constexpr (whole) return load(from);
    return load_some(from, count);
  };
  Vector sum[vectors][blocks];
  for (int v = 0; v < vectors; ++v) {
    for (int b = 0; b < blocks; ++b) sum[v][b] = read(sums + v * rows + b * lanes);
  }
  for (std::int64_t l = 0; l < k; ++l, w += w_stride, x += vectors) {
    for (int b = 0; b < blocks; ++b) {
      const Vector row = read(w + b * lanes);
      for (int v = 0; v < vectors; ++v) {
        sum[v][b] = add_product(sum[v][b], row, x[v] - Vector{});  // in every lane, −0 too
      }
    }
  }
  const auto bytes = whole ? sizeof(Vector) : static_cast<std::size_t>(count) * sizeof(float);
  for (int v = 0; v < vectors; ++v) {
    for (int b = 0; b < blocks; ++b) std::memcpy(sums + v * rows + b * lanes, &sum[v][b], bytes);
  }
}

/// A matrix that is multiplied by few vectors. Its rows are packed or its columns.
template <class T>
struct Factor {
  Matrix<const T> w;
  std::int64_t rows, k;
};

/// What a thread keeps from call to call, as float32: the vectors, the sums, and what they are added to.
struct Kept {
  std::vector<float> x, y, before;
};
Kept& kept() {
  static thread_local Kept all;
  return all;
}

/// y[v][i] = Σ_l W[i, l]·x[l, v], where the rows of W are packed.
template <int vectors, class T>
void sum_by_dots(const Factor<T>& f, const Matrix<const T>& x, Kept& all) {
  const std::int64_t stride = (f.k + lanes - 1) / lanes * lanes;
  all.x.resize(static_cast<std::size_t>(vectors * stride));
  for (int v = 0; v < vectors; ++v) {
    float* to = all.x.data() + v * stride;
    detail::pack_run(x.at(0, v).data, x.row_stride, f.k, to);
    std::fill(to + f.k, to + stride, 0.0F);
  }
  std::int64_t i = 0;
  const auto advance = [&]<int together>(std::integral_constant<int, together>) {
    for (; i + together <= f.rows; i += together) {
      const auto sums = dots<together, vectors>(f.w.at(i, 0).data, f.w.row_stride, all.x.data(), stride, f.k);
      for (int j = 0; j < together * vectors; ++j) {
        all.y[static_cast<std::size_t>(j % vectors * f.rows + i + j / vectors)] = sums[static_cast<std::size_t>(j)];
      }
    }
  };
  advance(std::integral_constant<int, sums_at_once / vectors>{});
  advance(std::integral_constant<int, 1>{});
}

/// The same where its columns are packed. W is read in stretches of columns that stay in the cache.
template <int vectors, class T>
void sum_by_rows(const Factor<T>& f, const Matrix<const T>& x, Kept& all) {
  constexpr std::int64_t cached = 8192, least = 16;
  all.x.resize(static_cast<std::size_t>(vectors * f.k));
  float* to = all.x.data();
  for (std::int64_t l = 0; l < f.k; ++l) {
    for (int v = 0; v < vectors; ++v) *to++ = convert_to<float>(*x.at(l, v).data);
  }
  std::ranges::fill(all.y, 0.0F);
  const std::int64_t stretch = std::max(least, cached / f.rows);
  for (std::int64_t l = 0; l < f.k; l += stretch) {
    const std::int64_t k = std::min(stretch, f.k - l);
    const float* from = all.x.data() + l * vectors;
    std::int64_t i = 0;
    const auto advance = [&]<int blocks>(std::integral_constant<int, blocks>) {
      for (; i + blocks * lanes <= f.rows; i += blocks * lanes) {
        add_rows<vectors, blocks, true>(f.w.at(i, l).data, f.w.column_stride, from, k, lanes, all.y.data() + i, f.rows);
      }
    };
    if constexpr (vectors <= sums_at_once / 8) advance(std::integral_constant<int, 8>{});
    if constexpr (vectors <= sums_at_once / 4) advance(std::integral_constant<int, 4>{});
    if constexpr (vectors <= sums_at_once / 2) advance(std::integral_constant<int, 2>{});
    advance(std::integral_constant<int, 1>{});
    if (i == f.rows) continue;
    add_rows<vectors, 1, false>(f.w.at(i, l).data, f.w.column_stride, from, k, f.rows - i, all.y.data() + i, f.rows);
  }
}

/// Y = W·X or Y += W·X, where X has so many columns.
template <int vectors, class T, class Out>
void multiply_few(const Factor<T>& f, const Matrix<const T>& x, const Matrix<Out>& y, bool accumulate) {
  Kept& all = kept();
  all.y.resize(static_cast<std::size_t>(vectors * f.rows));
  if (f.w.column_stride == 1) {
    sum_by_dots<vectors>(f, x, all);
  } else {
    sum_by_rows<vectors>(f, x, all);
  }
  for (int v = 0; v < vectors; ++v) {
    float* sums = all.y.data() + v * f.rows;
    Out* to = y.at(0, v).data;
    if (accumulate) {
      all.before.resize(static_cast<std::size_t>(f.rows));
      detail::pack_run(to, y.row_stride, f.rows, all.before.data());
      for (std::int64_t i = 0; i < f.rows; ++i) sums[i] += all.before[static_cast<std::size_t>(i)];
    }
    detail::unpack_run(sums, f.rows, to, y.row_stride);
  }
}

}  // namespace

template <class T, class Out>
void multiply_vectors(const Product<T, Out>& p) {
  const std::int64_t count = std::min(p.m, p.n);
  const auto multiply = [&]<int vectors>(std::integral_constant<int, vectors>) {
    if (count != vectors) return;
    if (p.n <= p.m) return multiply_few<vectors, T, Out>({p.a, p.m, p.k}, p.b, p.c, p.accumulate);
    multiply_few<vectors, T, Out>({p.b.transposed(), p.n, p.k}, p.a.transposed(), p.c.transposed(), p.accumulate);
  };
  [&]<int... fewer>(std::integer_sequence<int, fewer...>) {
    (multiply(std::integral_constant<int, fewer + 1>{}), ...);
  }(std::make_integer_sequence<int, most_vectors>{});
}

template void multiply_vectors(const Product<float>&);
template void multiply_vectors(const Product<bfloat16>&);
template void multiply_vectors(const Product<bfloat16, float>&);
template void multiply_vectors(const Product<float16>&);
template void multiply_vectors(const Product<float16, float>&);

}  // namespace folio::cpu
