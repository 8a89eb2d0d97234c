#include "autograd/cpu/gemm.hpp"

#include <Eigen/Core>
#include <algorithm>
#include <type_traits>
#include <vector>

#include "autograd/cpu/elementwise.hpp"
#include "autograd/cpu/gemm_onednn.hpp"
#include "autograd/cpu/gemv.hpp"
#include "autograd/cpu/parallel.hpp"
#include "autograd/settings.hpp"

namespace folio::cpu {
namespace {

template <class T>
using RowMajor = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <class T>
using ColMajor = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::ColMajor>;
template <class M>
using Strided = Eigen::Map<M, Eigen::Unaligned, Eigen::OuterStride<>>;

/// Calls f with the matrix as an Eigen map of the layout that it has.
template <class T, class F>
void as_eigen(const Matrix<const T>& x, std::int64_t rows, std::int64_t columns, F&& f) {
  if (x.column_stride == 1) {
    f(Strided<const RowMajor<T>>(x.data, rows, columns, Eigen::OuterStride<>(x.row_stride)));
  } else {
    f(Strided<const ColMajor<T>>(x.data, rows, columns, Eigen::OuterStride<>(x.column_stride)));
  }
}

constexpr std::int64_t tile_rows = 256;
constexpr std::int64_t few_tiles = 8;
constexpr std::int64_t enough_tiles = 32;  // of all products together

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
/// One of so many parts of n, in blocks.
std::int64_t share(std::int64_t n, std::int64_t parts, std::int64_t block = 16) {
  return ceil_div(ceil_div(n, parts), block) * block;
}

struct Tile {
  std::size_t product;
  std::int64_t row, rows, column, columns;
};

struct Extents {
  std::int64_t rows, columns;
};

/// Into how many tiles to cut a product of few rows: one alone into few_tiles, each of many into less, which is faster.
std::int64_t tiles_of_each(std::int64_t products) {
  std::int64_t tiles = few_tiles;
  while (tiles > 1 && products * tiles / 2 >= enough_tiles) tiles /= 2;
  return tiles;
}

/// Row tiles of whole width, so that the packed B is used long. A product of few rows is cut both ways, into `tiles`, or
/// fewer that are worth a task each, so that together they are padded least, and of those into the squarest. Many rows are
/// cut in whole blocks of 64, for which oneDNN has faster kernels.
Extents tile_of(std::int64_t m, std::int64_t n, std::int64_t k, std::int64_t tiles) {
  if (m * n * k <= small_product) return {m, n};
  if (m > tile_rows * few_tiles / 2) return {tile_rows, n};
  tiles = std::min(tiles, m * n * k / small_product);
  const std::int64_t block = m >= tile_rows ? 64 : 16;
  Extents best = {m, n};
  std::int64_t least = -1;
  for (std::int64_t down = 1; down <= tiles; down *= 2) {
    const Extents tile = {share(m, down, block), share(n, tiles / down)};
    const std::int64_t padded = ceil_div(m, tile.rows) * tile.rows * (ceil_div(n, tile.columns) * tile.columns);
    const std::int64_t cost = padded * 16 + tile.rows + tile.columns;
    if (least >= 0 && cost >= least) continue;
    least = cost;
    best = tile;
  }
  return best;
}

/// In multiplications of what is in the cache; those of a matrix and a few vectors wait for its bytes.
template <class T, class Out>
std::int64_t work_of(const Product<T, Out>& p) {
  constexpr std::int64_t wait = sizeof(T);
  const std::int64_t few = std::min(p.m, p.n), many = std::max(p.m, p.n);
  return many * p.k * (is_of_vectors(p) && few > 0 ? std::max(few, wait) : few);
}

/// Neighbouring rows of the matrix that vectors are multiplied by, no less than are worth a task.
template <class T, class Out>
Extents tile_of_vectors(const Product<T, Out>& p, std::int64_t most) {
  const std::int64_t tiles = std::clamp<std::int64_t>(work_of(p) / small_product, 1, most);
  return {share(p.m, tiles), share(p.n, tiles)};
}

template <class T, class Out>
void cut(const Product<T, Out>& p, std::size_t index, std::int64_t few, std::vector<Tile>& tiles) {
  if (p.m == 0 || p.n == 0) return;
  const Extents tile = is_of_vectors(p) ? tile_of_vectors(p, few) : tile_of(p.m, p.n, p.k, few);
  for (std::int64_t i = 0; i < p.m; i += tile.rows) {
    for (std::int64_t j = 0; j < p.n; j += tile.columns) {
      tiles.push_back({index, i, std::min(tile.rows, p.m - i), j, std::min(tile.columns, p.n - j)});
    }
  }
}

template <class T>
void multiply_eigen(const Product<T>& p) {
  Strided<RowMajor<T>> c(p.c.data, p.m, p.n, Eigen::OuterStride<>(p.c.row_stride));
  as_eigen(p.a, p.m, p.k, [&](const auto& a) {
    as_eigen(p.b, p.k, p.n, [&](const auto& b) {
      if (p.accumulate) {
        c.noalias() += a * b;
      } else {
        c.noalias() = a * b;
      }
    });
  });
}

/// Whether no row, or column where those are packed, begins inside another: what oneDNN insists on.
template <class T>
bool is_apart(const Matrix<const T>& x, std::int64_t rows, std::int64_t columns) {
  return x.column_stride == 1 ? x.row_stride >= columns : x.column_stride >= rows;
}

/// x as float32 in `buffer`, in the layout that it has.
template <class T>
Matrix<const float> widened(const Matrix<const T>& x, std::int64_t rows, std::int64_t columns,
                            std::vector<float>& buffer) {
  if (x.column_stride != 1) return widened(x.transposed(), columns, rows, buffer).transposed();
  buffer.resize(static_cast<std::size_t>(rows * columns));
  for (std::int64_t i = 0; i < rows; ++i) {
    detail::pack_run(x.data + i * x.row_stride, 1, columns, buffer.data() + i * columns);
  }
  return {buffer.data(), columns, 1};
}

/// A product of 16-bit floats where nobody multiplies them as they are: blocks of it in float32, which stay in the cache.
template <class T, class Out>
void multiply_widened(const Product<T, Out>& p) {
  constexpr std::int64_t most_rows = 256, most_columns = 512, most_inner = 512;
  static thread_local std::vector<float> a, b, c;
  for (std::int64_t i = 0; i < p.m; i += most_rows) {
    for (std::int64_t j = 0; j < p.n; j += most_columns) {
      const std::int64_t rows = std::min(most_rows, p.m - i), columns = std::min(most_columns, p.n - j);
      const Matrix<Out> out = p.c.at(i, j);
      Matrix<float> sum;
      if constexpr (std::is_same_v<Out, float>) {
        sum = out;
      } else {
        if (p.accumulate) widened<Out>({out.data, out.row_stride, 1}, rows, columns, c);
        c.resize(static_cast<std::size_t>(rows * columns));
        sum = {c.data(), columns, 1};
      }
      for (std::int64_t l = 0; l < p.k; l += most_inner) {
        const std::int64_t inner = std::min(most_inner, p.k - l);
        multiply<float>({rows, columns, inner, widened(p.a.at(i, l), rows, inner, a),
                         widened(p.b.at(l, j), inner, columns, b), sum, p.accumulate || l > 0});
      }
      if constexpr (!std::is_same_v<Out, float>) {
        for (std::int64_t r = 0; r < rows; ++r) {
          detail::unpack_run(sum.data + r * columns, columns, out.data + r * out.row_stride, 1);
        }
      }
    }
  }
}

}  // namespace

bool multiplies_as_it_is(DType dtype) {
  return !is_half(dtype) || (gemm_provider() == GemmProvider::onednn && onednn_multiplies(dtype));
}

template <class T, class Out>
void multiply(const Product<T, Out>& p) {
  if (p.m == 0 || p.n == 0) return;
  if (p.k == 0) {
    if (p.accumulate) return;
    for (std::int64_t i = 0; i < p.m; ++i) std::fill_n(p.c.data + i * p.c.row_stride, p.n, Out{});
    return;
  }
  if constexpr (!std::is_same_v<T, double>) {
    if (is_of_vectors(p)) return multiply_vectors(p);
    const bool readable = is_apart(p.a, p.m, p.k) && is_apart(p.b, p.k, p.n);
    if (gemm_provider() == GemmProvider::onednn && readable && multiplies_as_it_is(dtype_of<T>())) {
      return multiply_onednn(p);
    }
  }
  if constexpr (is_half_type<T>) {
    multiply_widened(p);
  } else {
    multiply_eigen(p);
  }
}

template <class T, class Out>
void multiply_all(std::span<const std::type_identity_t<Product<T, Out>>> products) {
  std::vector<Tile> tiles;
  const std::int64_t few = tiles_of_each(std::ssize(products));
  std::int64_t work = 0;
  for (std::size_t i = 0; i < products.size(); ++i) {
    cut(products[i], i, few, tiles);
    work += work_of(products[i]);
  }
  const auto run = [&](const Tile& t) {
    const Product<T, Out>& p = products[t.product];
    multiply<T, Out>(
        {t.rows, t.columns, p.k, p.a.at(t.row, 0), p.b.at(0, t.column), p.c.at(t.row, t.column), p.accumulate});
  };
  if (work < worth_threads) {
    std::ranges::for_each(tiles, run);
    return;
  }
  const auto run_at = [&](std::int64_t i) { run(tiles[static_cast<std::size_t>(i)]); };
  if (std::ranges::all_of(products, is_of_vectors<T, Out>)) return parallel_for_static(std::ssize(tiles), run_at);
  parallel_for(std::ssize(tiles), run_at);
}

template void multiply(const Product<float>&);
template void multiply(const Product<double>&);
template void multiply(const Product<bfloat16>&);
template void multiply(const Product<bfloat16, float>&);
template void multiply(const Product<float16>&);
template void multiply(const Product<float16, float>&);
template void multiply_all<float>(std::span<const Product<float>>);
template void multiply_all<double>(std::span<const Product<double>>);
template void multiply_all<bfloat16>(std::span<const Product<bfloat16>>);
template void multiply_all<bfloat16, float>(std::span<const Product<bfloat16, float>>);
template void multiply_all<float16>(std::span<const Product<float16>>);
template void multiply_all<float16, float>(std::span<const Product<float16, float>>);

}  // namespace folio::cpu
