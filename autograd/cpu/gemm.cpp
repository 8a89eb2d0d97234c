#include "autograd/cpu/gemm.hpp"

#include <Eigen/Core>
#include <algorithm>
#include <vector>

#include "autograd/cpu/parallel.hpp"

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
constexpr std::int64_t tile_columns = 256;
constexpr std::int64_t few_tiles = 8;

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

struct Tile {
  std::size_t product;
  std::int64_t row, rows, column, columns;
};

/// Row tiles of whole width, so that the packed B is used long; short wide products are cut along their columns too.
template <class T>
void cut(const Product<T>& p, std::size_t index, std::vector<Tile>& tiles) {
  if (p.m == 0 || p.n == 0) return;
  const std::int64_t row_tiles = ceil_div(p.m, tile_rows);
  const std::int64_t column_tiles =
      std::clamp<std::int64_t>(ceil_div(few_tiles, row_tiles), 1, ceil_div(p.n, tile_columns / 2));
  const std::int64_t rows = ceil_div(ceil_div(p.m, row_tiles), 16) * 16;
  const std::int64_t columns = ceil_div(ceil_div(p.n, column_tiles), 16) * 16;
  for (std::int64_t i = 0; i < p.m; i += rows) {
    for (std::int64_t j = 0; j < p.n; j += columns) {
      tiles.push_back({index, i, std::min(rows, p.m - i), j, std::min(columns, p.n - j)});
    }
  }
}

}  // namespace

template <class T>
void multiply(const Product<T>& p) {
  Strided<RowMajor<T>> c(p.c.data, p.m, p.n, Eigen::OuterStride<>(p.c.row_stride));
  if (p.k == 0) {
    if (!p.accumulate) c.setZero();
    return;
  }
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

template <class T>
void multiply_all(std::span<const Product<T>> products) {
  std::vector<Tile> tiles;
  for (std::size_t i = 0; i < products.size(); ++i) cut(products[i], i, tiles);
  parallel_for(static_cast<std::int64_t>(tiles.size()), [&](std::int64_t i) {
    const Tile& t = tiles[static_cast<std::size_t>(i)];
    const Product<T>& p = products[t.product];
    multiply<T>({t.rows, t.columns, p.k, p.a.at(t.row, 0), p.b.at(0, t.column), p.c.at(t.row, t.column), p.accumulate});
  });
}

template void multiply<float>(const Product<float>&);
template void multiply<double>(const Product<double>&);
template void multiply_all<float>(std::span<const Product<float>>);
template void multiply_all<double>(std::span<const Product<double>>);

}  // namespace folio::cpu
