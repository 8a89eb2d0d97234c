#include <cmath>
#include <vector>

#include "tests/autograd/op_case.hpp"

namespace folio::testing {
namespace {

/// The rotation of each position as a matrix that rows are multiplied by (Su et al. 2021, equation 15): (T, D, D).
Tensor rotations(std::int64_t length, std::int64_t width, const RopeOptions& options, Options place) {
  std::vector<double> values(static_cast<std::size_t>(length * width * width));
  const std::int64_t rotated = width - options.skip, pairs = rotated / 2;
  const bool neighbours = options.pairs == RopePairs::interleaved;
  for (std::int64_t t = 0; t < length; ++t) {
    const auto at = [&](std::int64_t row, std::int64_t column) -> double& {
      return values[static_cast<std::size_t>((t * width + row) * width + column)];
    };
    for (std::int64_t i = 0; i < options.skip; ++i) at(i, i) = 1;
    for (std::int64_t i = 0; i < pairs; ++i) {
      const double angle = static_cast<double>(t + options.offset) *
                           std::pow(options.base, -2.0 * static_cast<double>(i) / static_cast<double>(rotated));
      const std::int64_t first = options.skip + (neighbours ? 2 * i : i);
      const std::int64_t second = first + (neighbours ? 1 : pairs);
      at(first, first) = at(second, second) = std::cos(angle);
      at(first, second) = std::sin(angle);
      at(second, first) = -std::sin(angle);
    }
  }
  return from_vector(values, {length, width, width}, place);
}

}  // namespace

Problem draw_rope(Draw& draw) {
  const std::int64_t batch = draw.extent(), length = draw.extent(), heads = draw.extent();
  RopeOptions options = {.base = draw.chance(0.5) ? 10000.0 : 3.0, .offset = draw.integer(0, 9)};
  if (draw.chance(0.5)) options.pairs = RopePairs::rotate_half;
  const bool packs = draw.chance(0.3);  // borders that fall on those of 16 bytes, in every dtype
  if (draw.chance(0.5)) options.skip = packs ? 8 : draw.integer(1, 3);
  const std::int64_t width = options.skip + 2 * (packs ? 8 : draw.integer(1, 4));
  const Shape shape = {batch, length, heads, width};
  return {.inputs = {draw.normal(shape)},
          .f = [=](const Tensors& x) -> Tensors { return {rope(x[0], options)}; },
          .composed = [=](const Tensors& x) -> Tensors {
            return {matmul(x[0], rotations(length, width, options, x[0].options()))};
          },
          .description = to_string(shape) + " skip " + std::to_string(options.skip) +
                         (options.pairs == RopePairs::interleaved ? " interleaved" : " halves")};
}

}  // namespace folio::testing
