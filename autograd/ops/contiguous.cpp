// A packed copy, or the tensor itself where it is packed already.      dx = dy
#include "autograd/cpu/elementwise.hpp"
#include "autograd/ops/op.hpp"

namespace folio {

void cpu::copy(const Tensor& x, Tensor& y) {
  visit_any(y.dtype(), [&](auto tag) {
    map_elements<decltype(tag)>(
        y, [](const auto& x) { return x; }, x);
  });
}

void cpu::fill(double value, Tensor& y) {
  visit_any(y.dtype(), [&](auto tag) {
    using T = decltype(tag);
    map_elements<T>(
        y,
        [value = static_cast<T>(value)](const auto& before) {
          return Eigen::Array<T, Eigen::Dynamic, 1>::Constant(before.size(), value);
        },
        y);
  });
}

Tensor contiguous(const Tensor& x) {
  if (x.is_contiguous()) return x;
  return record({.op = op::contiguous,
                 .inputs = {x},
                 .outputs = {x.clone()},
                 .backward = [](const Entry&, const Tensors& dy) -> Tensors { return {dy[0]}; }});
}

}  // namespace folio
