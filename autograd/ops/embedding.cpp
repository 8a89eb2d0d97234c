// y[j] = table[index[j]], whole rows      dtable[i] = Σ dy[j] over the j that index[j] = i, in order of j
#include "autograd/cpu/elementwise.hpp"
#include "autograd/cpu/indices.hpp"
#include "autograd/ops/op.hpp"

namespace folio {

void cpu::embedding(const Tensor& table, const Tensor& index, Tensor& y) {
  check_indices(index, table.dim(0), "embedding", table);
  const std::int64_t rows = index.numel();
  const std::int64_t width = rows == 0 ? 0 : y.numel() / rows;
  visit_bits(y.dtype(), [&](auto type) {
    visit_index(index.dtype(), [&](auto tag) {
      using T = decltype(type);
      const auto* at = index.ptr<decltype(tag)>();
      parallel_ranges(rows, 1 + detail::task / (width + 1), [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t j = begin; j < end; ++j) {
          std::copy_n(table.ptr<T>() + at[j] * width, width, y.ptr<T>() + j * width);
        }
      });
    });
  });
}

Tensor embedding(const Tensor& table, const Tensor& index) {
  require_float(table, "embedding");
  require_index(index, "embedding");
  require(table.rank() >= 1, [&] { return "embedding: needs a table of rows (n, d…), got " + describe(table); });
  Shape shape = index.shape();
  for (int d = 1; d < table.rank(); ++d) shape.push_back(table.shape()[d]);
  Tensor y = empty(shape, table.options());  // (…, d…)
  kernel::embedding(table, index, y);
  return record({.op = op::embedding,
                 .inputs = {table},
                 .outputs = {y},
                 .saved = {index},
                 .backward = [](const Entry& e, const Tensors& dy) -> Tensors {
                   const Tensor& index = e.saved(0);
                   const Tensor gathered = e.take_gathered(0);
                   Tensor dtable = gathered.defined() ? gathered : empty(e.input_shape(0), dy[0].options());
                   kernel::index_add(gathered, index, dy[0], dtable);
                   return {dtable};
                 }});
}

}  // namespace folio
