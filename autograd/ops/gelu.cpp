// y = x·Φ(x),  Φ(x) = (1 + erf(x/√2))/2      dx = dy·(Φ(x) + x·φ(x)),  φ(x) = e^(−x²/2)/√(2π)
#include <Eigen/Core>
#include <numbers>
#include <unsupported/Eigen/SpecialFunctions>

#include "autograd/cpu/elementwise.hpp"
#include "autograd/ops/op.hpp"

namespace folio {
namespace {
template <class T>
auto normal_cdf(const cpu::Row<T>& x) {
  return T{0.5} * (1 + (x * (1 / std::numbers::sqrt2_v<T>)).erf());
}
}  // namespace

void cpu::gelu(const Tensor& x, Tensor& y) {
  visit_compute(y.dtype(), [&](auto tag) {
    map_elements<decltype(tag)>(
        y, [](const auto& x) { return x * normal_cdf<decltype(tag)>(x); }, x);
  });
}

void cpu::gelu_backward(const Tensor& dy, const Tensor& x, Tensor& dx) {
  visit_compute(dx.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const T peak = std::numbers::inv_sqrtpi_v<T> / std::numbers::sqrt2_v<T>;  // φ(0)
    map_elements<T>(
        dx, [=](const auto& dy, const auto& x) { return dy * (normal_cdf<T>(x) + x * peak * (x.square() / -2).exp()); },
        dy, x);
  });
}

Tensor gelu(const Tensor& x) {
  require_float(x, "gelu");
  Tensor y = empty_like(x);
  kernel::gelu(x, y);
  return record({.op = op::gelu,
                 .inputs = {x},
                 .outputs = {y},
                 .saved = {x},
                 .backward = [](const Entry& e, const Tensors& dy) -> Tensors {
                   Tensor dx = empty_like(dy[0]);
                   kernel::gelu_backward(dy[0], e.saved(0), dx);
                   return {dx};
                 }});
}

}  // namespace folio
