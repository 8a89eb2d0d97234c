#include <algorithm>

#include "tests/autograd/op_case.hpp"

namespace folio::testing {

Problem draw_concat(Draw& draw) {
  Shape shape = draw.shape(1, 4);
  const int dim = static_cast<int>(draw.integer(0, shape.size() - 1));
  const int named = draw.chance(0.5) ? dim : dim - shape.size();
  Tensors xs;
  std::string text;
  for (std::int64_t i = draw.integer(1, 3); i > 0; --i) {
    shape[dim] = draw.extent();
    xs.push_back(draw.normal(shape));
    text += to_string(shape) + " ";
  }
  return {.inputs = xs,
          .f = [=](const Tensors& x) -> Tensors { return {concat(x, named)}; },
          .description = text + "along " + std::to_string(dim)};
}

// Some pieces are left unused now and then: the tape then gives zeros for them.
Problem draw_split(Draw& draw) {
  Shape shape = draw.shape(1, 4);
  const int dim = static_cast<int>(draw.integer(0, shape.size() - 1));
  Dims extents;
  shape[dim] = 0;
  for (std::int64_t i = draw.integer(1, 3); i > 0; --i) {
    extents.push_back(draw.extent());
    shape[dim] += extents.back();
  }
  const auto used = static_cast<std::size_t>(draw.integer(1, extents.size()));
  return {.inputs = {draw.normal(shape)},
          .f = [=](const Tensors& x) -> Tensors {
            Tensors pieces = split(x[0], extents, dim);
            pieces.resize(used);
            return pieces;
          },
          .composed = [=](const Tensors& x) -> Tensors {
            Tensors pieces;
            std::int64_t begin = 0;
            for (std::size_t i = 0; i < used; begin += extents[static_cast<int>(i++)]) {
              pieces.push_back(slice(x[0], dim, begin, begin + extents[static_cast<int>(i)]));
            }
            return pieces;
          },
          .description = to_string(shape) + " into " + to_string(extents) + " along " + std::to_string(dim)};
}

Problem draw_gather(Draw& draw) {
  Shape shape = draw.shape(1, 4);
  const int dim = static_cast<int>(draw.integer(0, shape.size() - 1));
  Shape chosen = shape;
  for (std::int64_t& extent : chosen) extent = draw.chance(0.3) ? draw.integer(0, extent) : extent;
  shape[dim] = draw.extent(false);
  chosen[dim] = draw.extent();
  return {.inputs = {draw.normal(shape), draw.indices_of_either_type(chosen, shape[dim])},
          .f = [=](const Tensors& x) -> Tensors { return {gather(x[0], dim, x[1])}; },
          .description = to_string(chosen) + " of " + to_string(shape) + " along " + std::to_string(dim)};
}

Problem draw_index_add(Draw& draw) {
  const Shape source = draw.shape(1, 3);
  Shape x = source;
  x[0] = draw.extent(false);
  return {.inputs = {draw.normal(x), draw.indices_of_either_type({source[0]}, x[0]), draw.normal(source)},
          .f = [](const Tensors& t) -> Tensors { return {index_add(t[0], t[1], t[2])}; },
          .description = to_string(source) + " into " + to_string(x)};
}

Problem draw_embedding(Draw& draw) {
  Shape table = draw.shape(1, 3);
  if (table[0] == 0) table[0] = draw.extent(false);
  const Shape index = draw.shape(0, 3);
  return {.inputs = {draw.normal(table), draw.indices_of_either_type(index, table[0])},
          .f = [](const Tensors& t) -> Tensors { return {embedding(t[0], t[1])}; },
          .description = to_string(index) + " rows of " + to_string(table)};
}

}  // namespace folio::testing
