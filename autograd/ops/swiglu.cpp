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
  visit_compute(dy.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const detail::Elements<T> upstream(dy), of_gate(gate), of_up(up), to_gate(dgate), to_up(dup);
    constexpr std::int64_t width = 1024;  // columns at once, their σ in L1
    const std::int64_t d = dy.dim(1), pieces = (d + width - 1) / width;
    parallel_ranges(dy.dim(0) * pieces, 16, [&](std::int64_t begin, std::int64_t end) {
      alignas(64) std::array<T, width> g_buffer, gate_buffer, up_buffer, sigma_buffer, out_buffer;
      for (std::int64_t i = begin; i < end; ++i) {
        const std::int64_t row = i / pieces, column = i % pieces * width;
        const std::int64_t columns = std::min(width, d - column);
        const auto in = [&](const Tensor& x, const detail::Elements<T>& from, std::array<T, width>& buffer) {
          return Row<T>(from.read(row * x.strides()[0] + column, 1, columns, buffer.data()), columns);
        };
        const auto store = [&](const detail::Elements<T>& to, const auto& formula) {
          const std::int64_t at = row * d + column;
          T* target = to.target(at, 1, out_buffer.data());
          MutableRow<T>(target, columns) = formula;
          to.write(target, at, 1, columns);
        };
        const auto g = in(dy, upstream, g_buffer), x = in(gate, of_gate, gate_buffer), u = in(up, of_up, up_buffer);
        MutableRow<T> sigma(sigma_buffer.data(), columns);
        sigma = 1 / (1 + (-x).exp());
        if (dup.defined()) store(to_up, g * x * sigma);
        if (dgate.defined()) store(to_gate, g * u * sigma * (1 + x * (1 - sigma)));
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
