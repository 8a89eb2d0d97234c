// y = condition ? a : b      da = dy where the condition holds,  db = dy elsewhere, summed over what was broadcast
#include "autograd/cpu/elementwise.hpp"
#include "autograd/ops/mask.hpp"

namespace folio {

void cpu::where(const Tensor& condition, const Tensor& a, const Tensor& b, Tensor& y) {
  visit_compute(y.dtype(), [&](auto type) {
    visit_index(condition.dtype(), [&](auto tag) {
      using C = decltype(tag);
      map_elements<decltype(type)>(
          y, [](const auto& condition, const auto& a, const auto& b) { return (condition != C{0}).select(a, b); },
          As<C>{condition}, a, b);
    });
  });
}

Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b) {
  require_index(condition, "where");
  require_same_float(a, b, "where");
  const Shape shape = broadcast_shapes(condition.shape(), broadcast_shapes(a.shape(), b.shape(), "where"), "where");
  Tensor y = empty(shape, a.options());
  kernel::where(condition, a, b, y);
  return record({.op = op::where,
                 .inputs = {condition, a, b},
                 .outputs = {y},
                 .saved = {condition},
                 .backward = [](const Entry& e, const Tensors& dy) -> Tensors {
                   Tensor da, db;
                   if (e.needs(1)) da = unbroadcast(masked(e.saved(0), dy[0]), e.input_shape(1));
                   if (e.needs(2)) db = unbroadcast(masked(e.saved(0), dy[0], 1, false), e.input_shape(2));
                   return {Tensor(), da, db};
                 }});
}

}  // namespace folio
