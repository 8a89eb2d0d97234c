#include "tests/autograd/op_case.hpp"

#include <algorithm>
#include <numeric>

namespace folio::testing {

#define OP(name) Problem draw_##name(Draw& draw);
#include "autograd/ops.def"
#undef OP

const std::vector<OpCase>& all_cases() {
  static const std::vector<OpCase> cases = {
#define OP(name) {#name, &draw_##name},
#include "autograd/ops.def"
#undef OP
  };
  return cases;
}

std::int64_t Draw::integer(std::int64_t low, std::int64_t high) {
  const double span = static_cast<double>(high - low + 1);
  return low + static_cast<std::int64_t>(choices_.uniform(next_++) * span);
}
bool Draw::chance(double probability) { return choices_.uniform(next_++) < probability; }
std::int64_t Draw::extent(bool may_be_zero) { return may_be_zero && chance(0.04) ? 0 : integer(1, size_); }
Shape Draw::shape(int min_rank, int max_rank, bool may_be_zero) {
  Shape shape;
  const auto rank = integer(min_rank, max_rank);
  for (std::int64_t d = 0; d < rank; ++d) shape.push_back(extent(may_be_zero));
  return shape;
}
Shape Draw::broadcastable(const Shape& shape) {
  Shape result;
  const auto dropped = integer(0, shape.size());
  for (int d = static_cast<int>(dropped); d < shape.size(); ++d) result.push_back(chance(0.3) ? 1 : shape[d]);
  return result;
}

Tensor Draw::normal(const Shape& shape, double scale) { return folio::scale(randn(shape, generator_, {DType::float64}), scale); }
Tensor Draw::uniform(const Shape& shape, double low, double high) {
  return folio::uniform(shape, generator_, low, high, {DType::float64});
}
Tensor Draw::away_from_zero(const Shape& shape, double low, double high) {
  Tensor x = uniform(shape, low, high);
  const auto signs = generator_.next_stream();
  double* values = x.mutable_data<double>();
  for (std::int64_t i = 0; i < x.numel(); ++i) values[i] *= signs.uniform(i) < 0.5 ? -1 : 1;
  return x;
}
Tensor Draw::distinct(const Shape& shape, double gap) {
  const auto n = static_cast<std::size_t>(numel(shape));
  const auto stream = generator_.next_stream();
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return stream.uniform(static_cast<std::int64_t>(a)) < stream.uniform(static_cast<std::int64_t>(b));
  });
  std::vector<double> values(n);
  for (std::size_t i = 0; i < n; ++i) values[order[i]] = gap * (1.5 * static_cast<double>(i) - 0.75 * static_cast<double>(n));
  return from_vector(values, shape, {DType::float64});
}
Tensor Draw::indices(const Shape& shape, std::int64_t below) {
  std::vector<std::int32_t> values(static_cast<std::size_t>(numel(shape)));
  for (auto& v : values) v = static_cast<std::int32_t>(integer(0, below - 1));
  return from_indices(values, shape);
}

}  // namespace folio::testing
