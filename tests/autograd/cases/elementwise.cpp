#include "tests/autograd/op_case.hpp"

namespace folio::testing {
namespace {

Problem unary(const Tensor& x, Tensor (*op)(const Tensor&)) {
  return {.inputs = {x},
          .f = [op](const Tensors& in) -> Tensors { return {op(in[0])}; },
          .description = to_string(x.shape())};
}

}  // namespace

Problem draw_exp(Draw& draw) { return unary(draw.normal(draw.shape(0, 4)), exp); }

}  // namespace folio::testing
