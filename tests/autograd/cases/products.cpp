#include "tests/autograd/op_case.hpp"

namespace folio::testing {

Problem draw_matmul(Draw& draw) {
  const std::int64_t m = draw.extent(), k = draw.extent(), n = draw.extent();
  Shape batch = draw.shape(0, 2), a = batch, b = batch;
  if (draw.chance(0.4)) (draw.chance(0.5) ? a : b) = draw.broadcastable(batch);
  const bool broadcast = !(a == b);
  a.push_back(m), a.push_back(k), b.push_back(k), b.push_back(n);
  return {.inputs = {draw.normal(a), draw.normal(b)},
          .f = [](const Tensors& x) -> Tensors { return {matmul(x[0], x[1])}; },
          .description = to_string(a) + " · " + to_string(b),
          .broadcast = broadcast};
}

Problem draw_linear(Draw& draw) {
  Shape x = draw.shape(0, 2);
  const std::int64_t in = draw.extent(), out = draw.extent();
  x.push_back(in);
  return {.inputs = {draw.normal(x), draw.normal({out, in})},
          .f = [](const Tensors& t) -> Tensors { return {linear(t[0], t[1])}; },
          .composed = [](const Tensors& t) -> Tensors {
            const Tensor rows = t[0].rank() == 1 ? t[0].reshape({1, t[0].dim(0)}) : t[0];
            const Tensor y = matmul(rows, t[1].transpose(0, 1));
            Shape shape = t[0].shape();
            shape[shape.size() - 1] = t[1].dim(0);
            return {y.reshape(shape)};
          },
          .description = to_string(x) + " with " + std::to_string(out) + " outputs"};
}

}  // namespace folio::testing
