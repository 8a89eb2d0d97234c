#include "tests/autograd/op_case.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "autograd/backend.hpp"

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

std::int64_t Draw::extent(bool may_be_zero) {
  if (size_ == 0) return may_be_zero && chance(0.2) ? 0 : chance(0.6) ? 1 : integer(2, 3);
  if (may_be_zero && chance(0.03)) return 0;
  if (size_ <= most_of_small_draws) return integer(1, size_);
  const bool small = chance(0.4);
  const std::int64_t most = std::max<std::int64_t>(1, std::min(room_, small ? 4 : size_));
  const std::int64_t extent = integer(small ? 1 : 1 + most / 4, most);
  room_ /= extent;
  return extent;
}
Shape Draw::shape(int min_rank, int max_rank, bool may_be_zero) {
  const auto rank = static_cast<int>(integer(min_rank, max_rank));
  Shape shape = Dims::filled(rank, 1);
  const auto longest = static_cast<int>(integer(0, std::max(rank - 1, 0)));
  const bool large = size_ >= size_of_large_draws && room_ > 4 * elements_of_a_block && rank > 0;
  for (int d = 0; d < rank; ++d) {
    if (!large || d != longest) shape[d] = extent(may_be_zero && !large);
  }
  if (large) {
    const std::int64_t rest = numel(shape);
    shape[longest] = integer(1 + elements_of_a_block / rest, 1 + 4 * elements_of_a_block / rest);
    room_ = 16;  // for what else the case draws
  }
  return shape;
}
Shape Draw::broadcastable(const Shape& shape) {
  Shape result;
  const auto dropped = integer(0, shape.size());
  for (int d = static_cast<int>(dropped); d < shape.size(); ++d) result.push_back(chance(0.3) ? 1 : shape[d]);
  return result;
}

Tensor Draw::normal(const Shape& shape, double scale) {
  return folio::scale(randn(shape, generator_, {DType::float64}), scale);
}
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
  for (std::size_t i = 0; i < n; ++i)
    values[order[i]] = gap * (1.5 * static_cast<double>(i) - 0.75 * static_cast<double>(n));
  return from_vector(values, shape, {DType::float64});
}
Tensor Draw::dyadic(const Shape& shape, double most, double grid) {
  Tensor x = uniform(shape, -most / grid, most / grid);
  double* values = x.mutable_data<double>();
  for (std::int64_t i = 0; i < x.numel(); ++i) values[i] = grid * std::round(values[i]);
  return x;
}
Tensor Draw::indices(const Shape& shape, std::int64_t below) {
  std::vector<std::int32_t> values(static_cast<std::size_t>(numel(shape)));
  for (auto& v : values) v = static_cast<std::int32_t>(integer(0, below - 1));
  return from_indices(values, shape);
}
Tensor Draw::indices_of_either_type(const Shape& shape, std::int64_t below) {
  const Tensor drawn = indices(shape, below);
  return drawn.to(drawn.numel() % 2 == 1 ? DType::int64 : DType::int32);
}

Device other_device() {
  static const Device device = [] {
    for (Device d : {Device::cuda, Device::cuda_emulated}) {
      try {
        backend(d);
        return d;
      } catch (const Error&) {
      }
    }
    enable_backend(Device::cuda_emulated, backend(Device::cpu));
    return Device::cuda_emulated;
  }();
  return device;
}

}  // namespace folio::testing
