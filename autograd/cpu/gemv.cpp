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

/// Up to so many vectors, reading w bounds: its rows are read one after the other, since memory gives one long run twice as
/// fast as several short ones. From there on reading x does, and rows share it.
constexpr int few_vectors = 3;

/// Calls put(r, v, Σ_l w[r][l]·x[v][l]) with sums whose lanes are still to be added. Rows are w_stride and `stride` apart;
/// those of x have zeros up to whole steps. A sum is made in as many parts whatever the rows.
template <int rows, int vectors, class T, class Put>
[[gnu::always_inline]] inline void dot_side_by_side(const T* w, std::int64_t w_stride,
                                                    const typename Terms<T>::Element* x, std::int64_t stride,
                                                    std::int64_t k, Put&& put) {
  constexpr int step = Terms<T>::step, parts = vectors > few_vectors ? 1 : std::max(1, sums_in_flight / vectors);
  static_assert(rows * vectors * parts <= sums_at_once);
  Vector sums[parts][rows * vectors];  // in a std::array that is returned, they went through memory
  unrolled<parts>([&](auto p) { unrolled<rows * vectors>([&](auto i) { sums[p][i] = Vector{}; }); });
  const auto add = [&](auto p, const T* from, std::int64_t apart, const auto* by) __attribute__((always_inline)) {
    unrolled<rows * vectors>([&](auto i) __attribute__((always_inline)) {
      sums[p][i] = Terms<T>::add(sums[p][i], from + i / vectors * apart, by + i % vectors * stride);
    });
  };
  constexpr std::integral_constant<int, 0> first;
  std::int64_t l = 0;
  for (; l + parts * step <= k; l += parts * step) {
    unrolled<parts>([&](auto p) { add(p, w + l + p * step, w_stride, x + l + p * step); });
  }
  for (; l + step <= k; l += step) add(first, w + l, w_stride, x + l);
  if (l < k) {
    constexpr int width = rows * step;
    std::array<T, width> rest = {};
    for (int r = 0; r < rows; ++r) std::copy_n(w + r * w_stride + l, k - l, rest.data() + r * step);
    add(first, rest.data(), step, x + l);
  }
  unrolled<rows * vectors>([&](auto i) {
    unrolled<parts - 1>([&](auto p) { sums[0][i] += sums[p + 1][i]; });
    put(i / vectors, i % vectors, sums[0][i]);
  });
}

/// sums[v·rows + r] = Σ_l w[r][l]·x[v][l].
template <int rows, int vectors, class T>
void dots(const T* w, std::int64_t w_stride, const typename Terms<T>::Element* x, std::int64_t stride, std::int64_t k,
          std::array<float, sums_at_once>& sums) {
  constexpr int together = vectors > few_vectors ? rows : 1;
  std::array<Vector, sums_at_once> all;
  unrolled<sums_at_once - rows * vectors>([&](auto i) { all[rows * vectors + i] = Vector{}; });
  unrolled<rows / together>([&](auto i) {
    const auto put = [&](int r, int v, Vector sum) __attribute__((always_inline)) {
      const int at = v * rows + i * together + r;
      all[static_cast<std::size_t>(at)] = sum;
    };
    dot_side_by_side<together, vectors>(w + i * together * w_stride, w_stride, x, stride, k, put);
  });
  totals(all, sums);
}

/// sums[v][i] += Σ_l x[l][v]·w[l·w_stride + i] for i < blocks·step or, of part of one block, `count`. The rows of sums are
/// `rows` apart; those of x have zeros up to whole depths. A function of its own, so that all sums stay in registers.
template <int vectors, int blocks, bool whole, class T>
[[gnu::noinline]] void add_rows(const T* w, std::int64_t w_stride, const typename RowTerms<T>::Element* x,
                                std::int64_t k, std::int64_t count, float* sums, std::int64_t rows) {
  using Rows = RowTerms<T>;
  constexpr int depth = Rows::depth, parts = Rows::step / lanes, across = blocks * parts;
  const auto place = [&](int i) { return sums + i / across * rows + i % across * lanes; };
  const auto present_of = [&](int i) {
    return whole ? std::int64_t{lanes} : std::clamp<std::int64_t>(count - i % across * lanes, 0, lanes);
  };
  Vector sum[vectors * across];
  unrolled<vectors * across>(
      [&](auto i) { sum[i] = whole ? load(place(i)) : load(padded<lanes>(place(i), present_of(i)).data()); });
  const auto add = [&](std::int64_t l, std::int64_t present) __attribute__((always_inline)) {
    unrolled<blocks>([&](auto b) __attribute__((always_inline)) {
      const auto block = Rows::block(w + l * w_stride + b * Rows::step, w_stride, present, whole ? Rows::step : count);
      unrolled<vectors * parts>([&](auto i) __attribute__((always_inline)) {
        Vector& to = sum[i / parts * across + b * parts + i % parts];
        to = Rows::add(to, block.parts[i % parts], x + l * vectors + i / parts * depth);
      });
    });
  };
  std::int64_t l = 0;
  for (; l + depth <= k; l += depth) add(l, depth);
  if (l < k) add(l, k - l);
  unrolled<vectors * across>([&](auto i) {
    const Vector total = sum[i];
    std::memcpy(place(i), &total, static_cast<std::size_t>(present_of(i)) * sizeof(float));
  });
}

/// A matrix that is multiplied by few vectors. Its rows are packed or its columns.
template <class T>
struct Factor {
  Matrix<const T> w;
  std::int64_t rows, k;
};

/// What a thread keeps from call to call, and never shrinks: the vectors, the sums, and what they are added to.
class Scratch {
 public:
  template <class T>
  T* vectors(std::int64_t count) {
    if constexpr (std::is_same_v<T, float>) return sized(x_, count);
    if constexpr (std::is_same_v<T, bfloat16>) return sized(x_bfloat16_, count);
  }
  float* sums(std::int64_t count) { return sized(y_, count); }
  float* before(std::int64_t count) { return sized(before_, count); }

 private:
  template <class T>
  static T* sized(std::vector<T>& all, std::int64_t count) {
    if (std::ssize(all) < count) all.resize(static_cast<std::size_t>(count));
    return all.data();
  }

  std::vector<float> x_, y_, before_;
  std::vector<bfloat16> x_bfloat16_;
};
Scratch& scratch() {
  static thread_local Scratch all;
  return all;
}

/// y[v][i] = Σ_l W[i, l]·x[l, v], where the rows of W are packed.
template <int vectors, class T>
void sum_by_dots(const Factor<T>& f, const Matrix<const T>& x, Scratch& all, float* y) {
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
      std::array<float, sums_at_once> sums;
      dots<together, vectors>(f.w.at(i, 0).data, f.w.row_stride, from, stride, f.k, sums);
      for (int v = 0; v < vectors; ++v) std::copy_n(sums.data() + v * together, together, y + v * f.rows + i);
    }
  };
  constexpr int most = sums_at_once / vectors;
  advance(std::integral_constant<int, most>{});
  if constexpr (most >= 4) advance(std::integral_constant<int, most / 2>{});
  if constexpr (most >= 8) advance(std::integral_constant<int, most / 4>{});
  advance(std::integral_constant<int, 1>{});
}

/// The same where its columns are packed. W is read in stretches of columns that stay in the cache.
template <int vectors, class T>
void sum_by_rows(const Factor<T>& f, const Matrix<const T>& x, Scratch& all, float* y) {
  using Rows = RowTerms<T>;
  using Element = typename Rows::Element;
  constexpr std::int64_t cached = 8192, least = 16, depth = Rows::depth, step = Rows::step;
  static_assert(least % depth == 0 && vectors * step / lanes <= sums_at_once);
  const std::int64_t whole = (f.k + depth - 1) / depth * depth;
  Element* run = all.vectors<Element>(whole * (1 + vectors));
  const Element* from = run + whole;
  std::fill(run + f.k, run + whole, Element{});
  for (int v = 0; v < vectors; ++v) {
    detail::pack_run(x.at(0, v).data, x.row_stride, f.k, run);
    Element* to = run + whole + v * depth;
    for (std::int64_t l = 0; l < whole; l += depth, to += vectors * depth) std::copy_n(run + l, depth, to);
  }
  std::fill_n(y, vectors * f.rows, 0.0F);
  const std::int64_t stretch = std::max(least, cached / f.rows / depth * depth);
  for (std::int64_t l = 0; l < f.k; l += stretch) {
    const std::int64_t k = std::min(stretch, f.k - l);
    const Element* by = from + l * vectors;
    std::int64_t i = 0;
    const auto advance = [&]<int blocks>(std::integral_constant<int, blocks>) {
      if constexpr (vectors * blocks * step / lanes <= sums_at_once) {
        for (; i + blocks * step <= f.rows; i += blocks * step) {
          add_rows<vectors, blocks, true>(f.w.at(i, l).data, f.w.column_stride, by, k, step, y + i, f.rows);
        }
      }
    };
    advance(std::integral_constant<int, 8>{});
    advance(std::integral_constant<int, 4>{});
    advance(std::integral_constant<int, 2>{});
    advance(std::integral_constant<int, 1>{});
    if (i == f.rows) continue;
    add_rows<vectors, 1, false>(f.w.at(i, l).data, f.w.column_stride, by, k, f.rows - i, y + i, f.rows);
  }
}

/// Y = W·X or Y += W·X, where X has so many columns.
template <int vectors, class T, class Out>
void multiply_few(const Factor<T>& f, const Matrix<const T>& x, const Matrix<Out>& y, bool accumulate) {
  Scratch& all = scratch();
  float* y_sums = all.sums(vectors * f.rows);
  if (f.w.column_stride == 1) {
    sum_by_dots<vectors>(f, x, all, y_sums);
  } else {
    sum_by_rows<vectors>(f, x, all, y_sums);
  }
  for (int v = 0; v < vectors; ++v) {
    float* sums = y_sums + v * f.rows;
    Out* to = y.at(0, v).data;
    if (accumulate) {
      float* before = all.before(f.rows);
      detail::pack_run(to, y.row_stride, f.rows, before);
      for (std::int64_t i = 0; i < f.rows; ++i) sums[i] += before[i];
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
