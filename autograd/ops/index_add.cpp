// y[i] = x[i] + Σ source[j] over the j that index[j] = i, in order of j      dx = dy,  dsource[j] = dy[index[j]]
#include <array>
#include <numeric>
#include <span>
#include <vector>

#include "autograd/cpu/elementwise.hpp"
#include "autograd/cpu/indices.hpp"
#include "autograd/ops/op.hpp"

namespace folio {
namespace {

/// The positions of each row's indices, in order: those of row i are order[first[i]] … order[first[i + 1]].
struct Groups {
  std::vector<std::int64_t> first, order;
};

template <class Index>
Groups group(const Index* index, std::int64_t count, std::int64_t rows) {
  Groups g{std::vector<std::int64_t>(static_cast<std::size_t>(rows) + 1, 0),
           std::vector<std::int64_t>(static_cast<std::size_t>(count))};
  for (std::int64_t j = 0; j < count; ++j) ++g.first[static_cast<std::size_t>(index[j]) + 1];
  std::partial_sum(g.first.begin(), g.first.end(), g.first.begin());
  std::vector<std::int64_t> next(g.first.begin(), g.first.end() - 1);
  for (std::int64_t j = 0; j < count; ++j) {
    g.order[static_cast<std::size_t>(next[static_cast<std::size_t>(index[j])]++)] = j;
  }
  return g;
}

}  // namespace

/// An undefined x stands for zeros, and x may be y. Tasks are blocks of rows and columns, so that one popular row does not
/// wait for one thread.
void cpu::index_add(const Tensor& x, const Tensor& index, const Tensor& source, Tensor& y) {
  check_indices(index, y.dim(0), "index_add", y);
  const std::int64_t rows = y.dim(0), count = index.numel();
  if (y.numel() == 0) return;
  const std::int64_t width = y.numel() / rows;
  Groups groups;
  visit_index(index.dtype(), [&](auto tag) { groups = group(index.ptr<decltype(tag)>(), count, rows); });

  constexpr std::int64_t columns = 256;
  const std::int64_t column_blocks = (width + columns - 1) / columns;
  const std::int64_t row_block = 1 + detail::task / (std::min(width, columns) * (1 + count / rows));
  const std::int64_t row_blocks = (rows + row_block - 1) / row_block;
  visit_any_float(y.dtype(), [&](auto type) {
    using Stored = decltype(type);
    using T = ComputeType<Stored>;
    const Stored* before = x.defined() ? x.ptr<Stored>() : nullptr;
    parallel_for(row_blocks * column_blocks, [&](std::int64_t task) {
      const std::int64_t column = task % column_blocks * columns;
      const std::int64_t length = std::min(columns, width - column);
      const std::int64_t begin = task / column_blocks * row_block;
      std::array<T, columns> total;
      const auto add = [&](const Stored* row) {
        for (std::int64_t c = 0; c < length; ++c) total[static_cast<std::size_t>(c)] += convert_to<T>(row[c]);
      };
      for (std::int64_t i = begin; i < std::min(begin + row_block, rows); ++i) {
        const std::int64_t at = i * width + column;
        Stored* out = y.ptr<Stored>() + at;
        const auto row = static_cast<std::size_t>(i);
        const std::span uses(groups.order.data() + groups.first[row], groups.order.data() + groups.first[row + 1]);
        if (before != nullptr && uses.empty()) {
          if (before + at != out) std::copy_n(before + at, length, out);
          continue;
        }
        std::fill_n(total.begin(), length, T{0});
        for (const std::int64_t j : uses) add(source.ptr<Stored>() + j * width + column);
        if (before != nullptr) add(before + at);
        detail::unpack_run(total.data(), length, out, 1);
      }
    });
  });
}

Tensor index_add(const Tensor& x, const Tensor& index, const Tensor& source) {
  require_same_float(x, source, "index_add");
  require_index(index, "index_add");
  Shape wanted = x.shape();  // (m, …)
  if (x.rank() > 0 && index.rank() == 1) wanted[0] = index.dim(0);
  require(x.rank() > 0 && index.rank() == 1 && source.shape() == wanted, [&] {
    return "index_add: x " + to_string(x.shape()) + ", index " + to_string(index.shape()) + " and source " +
           to_string(source.shape()) + " do not fit: needs (n, …), (m) and (m, …)";
  });
  Tensor y = empty_like(x);  // (n, …)
  kernel::index_add(x, index, source, y);
  return record({.op = op::index_add,
                 .inputs = {x, source},
                 .outputs = {y},
                 .saved = {index},
                 .backward = [](const Entry& e, const Tensors& dy) -> Tensors {
                   Tensor dsource;
                   if (e.needs(1)) dsource = embedding(dy[0], e.saved(0));
                   return {e.needs(0) ? dy[0] : Tensor(), dsource};
                 }});
}

}  // namespace folio
