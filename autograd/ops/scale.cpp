// y = factor·x + shift      dx = factor·dy
#include "autograd/cpu/elementwise.hpp"
#include "autograd/ops/op.hpp"

namespace folio {

void cpu::scale(const Tensor& x, double factor, double shift, Tensor& y) {
  visit_compute(y.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const T a = static_cast<T>(factor);
    const T b = static_cast<T>(shift);
    map_elements<T>(
        y, [=](const auto& x) { return a * x + b; }, x);
  });
}

Tensor scale(const Tensor& x, double factor, double shift) {
  require_float(x, "scale");
  Tensor y = empty_like(x);
  kernel::scale(x, factor, shift, y);
  return record(
      {.op = op::scale,
       .inputs = {x},
       .outputs = {y},
       .parameters = factor,
       .backward = [](const Entry& e, const Tensors& dy) -> Tensors { return {scale(dy[0], e.parameter<double>())}; }});
}

}  // namespace folio
