// y = max(x, 0)      dx = dy where x > 0, 0 elsewhere; 0 at the kink x = 0
#include "autograd/cpu/elementwise.hpp"
#include "autograd/ops/mask.hpp"

namespace folio {

void cpu::relu(const Tensor& x, Tensor& y) {
  map_floats(
      y, [](const auto& x) { return (x < 0).select(0, x); }, x);
}

void cpu::relu_mask(const Tensor& x, Tensor& mask) {
  visit_compute(x.dtype(), [&](auto tag) {
    map_elements<std::int32_t>(
        mask, [](const auto& x) { return (!(x <= 0)).template cast<std::int32_t>(); }, As<decltype(tag)>{x});
  });
}

Tensor relu(const Tensor& x) {
  require_float(x, "relu");
  Tensor y = empty_like(x), mask = mask_for(x);
  kernel::relu(x, y);
  if (mask.defined()) kernel::relu_mask(x, mask);
  return record({.op = op::relu,
                 .inputs = {x},
                 .outputs = {y},
                 .saved = {mask},
                 .backward = [](const Entry& e, const Tensors& dy) -> Tensors { return {masked(e.saved(0), dy[0])}; }});
}

}  // namespace folio
