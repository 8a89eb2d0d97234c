// y = silu(gate)·up,  silu(g) = g·σ(g)      dup = dy·silu(gate),  dgate = dy·up·σ·(1 + gate·(1 − σ)),  σ = σ(gate)
#include <algorithm>
#include <array>

#include "autograd/cpu/elementwise.hpp"
#include "autograd/ops/op.hpp"

namespace folio {

void cpu::swiglu(const Tensor& gate, const Tensor& up, Tensor& y) {
  map_floats(
      y, [](const auto& g, const auto& u) { return g / (1 + (-g).exp()) * u; }, gate, up);
}

void cpu::swiglu_backward(const Tensor& dy, const Tensor& gate, const Tensor& up, Tensor& dgate, Tensor& dup) {
  visit_float(dy.dtype(), [&](auto tag) {
    using T = decltype(tag);
    constexpr std::int64_t width = 1024;  // columns at once, their σ in L1
    const std::int64_t d = dy.dim(1), pieces = (d + width - 1) / width;
    parallel_ranges(dy.dim(0) * pieces, 16, [&](std::int64_t begin, std::int64_t end) {
      std::array<T, width> buffer;
      for (std::int64_t i = begin; i < end; ++i) {
        const std::int64_t row = i / pieces, column = i % pieces * width;
        const std::int64_t columns = std::min(width, d - column);
        const auto in = [&](const Tensor& x) { return Row<T>(x.ptr<T>() + row * x.strides()[0] + column, columns); };
        const auto out = [&](const Tensor& x) { return MutableRow<T>(x.ptr<T>() + row * d + column, columns); };
        MutableRow<T> sigma(buffer.data(), columns);
        sigma = 1 / (1 + (-in(gate)).exp());
        if (dup.defined()) out(dup) = in(dy)*in(gate)*sigma;
        if (dgate.defined()) out(dgate) = in(dy)*in(up)*sigma * (1 + in(gate) * (1 - sigma));
      }
    });
  });
}

Tensor swiglu(const Tensor& gate, const Tensor& up) {
  require_same_float(gate, up, "swiglu");
  require(gate.rank() >= 1 && gate.shape() == up.shape(), [&] {
    return "swiglu: gate " + to_string(gate.shape()) + " and up " + to_string(up.shape()) +
           " differ: needs (…, d) and (…, d)";
  });
  Tensor y = empty(gate.shape(), gate.options());
  kernel::swiglu(gate, up, y);
  return record({.op = op::swiglu,
                 .inputs = {gate, up},
                 .outputs = {y},
                 .saved = {gate, up},
                 .backward = [](const Entry& e, const Tensors& dy) -> Tensors {
                   Tensor dgate, dup;
                   if (e.needs(0)) dgate = empty(e.input_shape(0), dy[0].options());
                   if (e.needs(1)) dup = empty(e.input_shape(1), dy[0].options());
                   kernel::swiglu_backward(unit_rows(dy[0]), unit_rows(e.saved(0)), unit_rows(e.saved(1)), dgate, dup);
                   return {dgate, dup};
                 }});
}

}  // namespace folio
