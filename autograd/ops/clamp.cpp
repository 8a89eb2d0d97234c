// y = min(max(x, low), high)      dx = dy where low ≤ x ≤ high, 0 elsewhere; dy at the kinks low and high
#include "autograd/cpu/elementwise.hpp"
#include "autograd/ops/mask.hpp"

namespace folio {

void cpu::clamp(const Tensor& x, double low, double high, Tensor& y) {
  visit_compute(y.dtype(), [&](auto tag) {
    using T = decltype(tag);
    map_elements<T>(
        y,
        [low = static_cast<T>(low), high = static_cast<T>(high)](const auto& x) {
          return (x < low).select(low, (x > high).select(high, x));
        },
        x);
  });
}

void cpu::clamp_mask(const Tensor& x, double low, double high, Tensor& mask) {
  visit_compute(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    map_elements<std::int32_t>(
        mask,
        [low = static_cast<T>(low), high = static_cast<T>(high)](const auto& x) {
          return (!(x < low || x > high)).template cast<std::int32_t>();
        },
        As<T>{x});
  });
}

Tensor clamp(const Tensor& x, double low, double high) {
  require_float(x, "clamp");
  require(low <= high,
          [&] { return "clamp: low " + std::to_string(low) + " must be at most high " + std::to_string(high); });
  Tensor y = empty_like(x), mask = mask_for(x);
  kernel::clamp(x, low, high, y);
  if (mask.defined()) kernel::clamp_mask(x, low, high, mask);
  return record({.op = op::clamp,
                 .inputs = {x},
                 .outputs = {y},
                 .saved = {mask},
                 .backward = [](const Entry& e, const Tensors& dy) -> Tensors { return {masked(e.saved(0), dy[0])}; }});
}

}  // namespace folio
