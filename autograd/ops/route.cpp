// rows sorted by (expert, token, rank): a stable counting sort of the chosen experts      no gradient
#include <numeric>
#include <vector>

#include "autograd/cpu/indices.hpp"
#include "autograd/ops/op.hpp"

namespace folio {

void cpu::route(const Tensor& chosen, Tensor& offsets, Tensor& token_of_row, Tensor& row_of) {
  const std::int64_t experts = offsets.numel() - 1, rows = chosen.numel();
  check_indices(chosen, experts, "route", offsets.slice(0, 0, experts));
  const std::int64_t k = rows == 0 ? 1 : chosen.dim(1);
  const auto* expert = chosen.ptr<std::int32_t>();
  auto* first = offsets.ptr<std::int32_t>();
  std::fill_n(first, experts + 1, 0);
  for (std::int64_t i = 0; i < rows; ++i) ++first[expert[i] + 1];
  std::partial_sum(first, first + experts + 1, first);
  std::vector<std::int32_t> next(first, first + experts);
  for (std::int64_t i = 0; i < rows; ++i) {
    const std::int32_t row = next[static_cast<std::size_t>(expert[i])]++;
    row_of.ptr<std::int32_t>()[i] = row;
    token_of_row.ptr<std::int32_t>()[row] = static_cast<std::int32_t>(i / k);
  }
}

Routing route(const Tensor& chosen, std::int64_t experts) {
  require(chosen.defined() && chosen.dtype() == DType::int32 && chosen.rank() == 2 && experts >= 0, [&] {
    return "route: needs chosen experts int32 (tokens, k), got " + describe(chosen) + " for " +
           std::to_string(experts) + " experts";
  });
  const Options options = chosen.options();
  Routing routing = {empty({experts + 1}, options), empty({chosen.numel()}, options), empty(chosen.shape(), options)};
  kernel::route(chosen, routing.offsets, routing.token_of_row, routing.row_of);
  return routing;
}

}  // namespace folio
