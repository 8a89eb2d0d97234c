#include "autograd/cpu/gemv.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "autograd/cpu/elementwise.hpp"
#include "autograd/cpu/gemv_vectors.hpp"

namespace folio::cpu {
namespace {

/// The first `count` < size of x, and zeros.
template <int size, class T>
std::array<T, size> padded(const T* x, std::int64_t count) {
  std::array<T, size> all = {};
  std::copy_n(x, count, all.begin());
  return all;
}

/// sums[r·vectors + v] = Σ_l w[r][l]·x[v][l] of rows that are w_stride and `stride` apart. Those of x have zeros up to whole
/// steps. The rows of w are read one after the other: memory gives one long run twice as fast as several short ones. A sum
/// is made in `parts`.
template <int rows, int vectors, class T>
std::array<float, sums_at_once> dots(const T* w, std::int64_t w_stride, const typename Terms<T>::Element* x,
                                     std::int64_t stride, std::int64_t k) {
  static_assert(rows * vectors <= sums_at_once);
  constexpr int step = Terms<T>::step, parts = std::max(1, sums_in_flight / vectors);
  std::array<Vector, sums_at_once> sums = {};
  auto* sum = sums.data();
  for (int r = 0; r < rows; ++r, w += w_stride, sum += vectors) {
    Vector part[vectors][parts] = {};
    const auto add = [&](int p, const T* row, const auto* from) {
      for (int v = 0; v < vectors; ++v) part[v][p] = Terms<T>::add(part[v][p], row, from + v * stride);
    };
    std::int64_t l = 0;
    for (; l + parts * step <= k; l += parts * step) {
      for (int p = 0; p < parts; ++p) add(p, w + l + p * step, x + l + p * step);
    }
    for (; l + step <= k; l += step) add(0, w + l, x + l);
    if (l < k) add(0, padded<step>(w + l, k - l).data(), x + l);
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
    return load(padded<lanes>(from, count).data());
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

/// What a thread keeps from call to call: the vectors, the sums, and what they are added to.
struct Scratch {
  std::vector<float> x, y, before;
  std::vector<bfloat16> x_bfloat16;

  template <class T>
  T* vectors(std::int64_t count) {
    const auto sized = [count](auto& all) {
      all.resize(static_cast<std::size_t>(count));
      return all.data();
    };
    if constexpr (std::is_same_v<T, float>) return sized(x);
    if constexpr (std::is_same_v<T, bfloat16>) return sized(x_bfloat16);
  }
};
Scratch& scratch() {
  static thread_local Scratch all;
  return all;
}

/// y[v][i] = Σ_l W[i, l]·x[l, v], where the rows of W are packed.
template <int vectors, class T>
void sum_by_dots(const Factor<T>& f, const Matrix<const T>& x, Scratch& all) {
  using Element = typename Terms<T>::Element;
  constexpr std::int64_t step = Terms<T>::step;
  const std::int64_t stride = (f.k + step - 1) / step * step;
  Element* from = all.vectors<Element>(vectors * stride);
  for (int v = 0; v < vectors; ++v) {
    Element* to = from + v * stride;
    detail::pack_run(x.at(0, v).data, x.row_stride, f.k, to);
    std::fill(to + f.k, to + stride, Element{});
  }
  std::int64_t i = 0;
  const auto advance = [&]<int together>(std::integral_constant<int, together>) {
    for (; i + together <= f.rows; i += together) {
      const auto sums = dots<together, vectors>(f.w.at(i, 0).data, f.w.row_stride, from, stride, f.k);
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
void sum_by_rows(const Factor<T>& f, const Matrix<const T>& x, Scratch& all) {
  constexpr std::int64_t cached = 8192, least = 16;
  float* to = all.vectors<float>(vectors * f.k);
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
  Scratch& all = scratch();
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
