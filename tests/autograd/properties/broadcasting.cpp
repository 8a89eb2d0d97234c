// 6. A broadcast equals its materialised expansion, and its gradient is the sum over the expanded dimensions: for every
// input as a view of stride 0, and, where an op broadcasts its arguments itself, for those.
#include "tests/autograd/properties/compare.hpp"

namespace folio::testing {
namespace {

Tensor summed(const Tensor& gradient, const Shape& shape) {
  Dims dims;
  const int extra = gradient.rank() - shape.size();
  for (int d = 0; d < gradient.rank(); ++d) {
    if (d < extra || shape[d - extra] != gradient.shape()[d]) dims.push_back(d);
  }
  return dims.empty() ? gradient : sum(gradient, dims).reshape(shape);
}

/// The shapes to which an op that broadcasts expands its inputs.
std::vector<Shape> expanded_shapes(const OpCase& c, const Tensors& inputs) {
  const std::string op = c.op;
  const int kept = op == "matmul" ? 2 : 0;  // trailing dimensions that do not broadcast
  const auto leading = [&](const Shape& s) {
    return Dims(std::span(s.begin(), static_cast<std::size_t>(s.size() - kept)));
  };
  Shape full;
  for (const Tensor& x : inputs) full = broadcast_shapes(full, leading(x.shape()), c.op);
  std::vector<Shape> shapes;
  for (const Tensor& x : inputs) {
    Shape shape = full;
    for (int d = x.rank() - kept; d < x.rank(); ++d) shape.push_back(x.shape()[d]);
    shapes.push_back(shape);
  }
  return shapes;
}

/// f at small.expand(shape) against f at packed copies of that.
void compare(Trial& t, const Function& f, const Tensors& small, const std::vector<Shape>& shapes, bool by_the_op) {
  const Function expanding = [&](const Tensors& x) {
    Tensors wide;
    for (std::size_t i = 0; i < x.size(); ++i)
      wide.push_back(x[i].defined() && !by_the_op ? x[i].expand(shapes[i]) : x[i]);
    return f(wide);
  };
  Tensors copies;
  for (std::size_t i = 0; i < small.size(); ++i) {
    copies.push_back(small[i].defined() ? small[i].expand(shapes[i]).clone() : small[i]);
  }
  const Tensors outputs = evaluate(f, copies);
  const Tensors v = random_cotangents(outputs, t.draw);
  const Run narrow = vjp(expanding, small, v), wide = vjp(f, copies, v);
  const double tolerance = rounding(small, outputs);
  expect_close(narrow.outputs, wide.outputs, tolerance, "output");
  for (std::size_t i = 0; i < small.size(); ++i) {
    if (!narrow.gradients[i].defined()) continue;
    const double repeats =
        static_cast<double>(numel(shapes[i])) / static_cast<double>(std::max<std::int64_t>(1, small[i].numel()));
    const std::string d = difference(narrow.gradients[i], summed(wide.gradients[i], small[i].shape()), 0,
                                     tolerance * repeats * std::max(largest(wide.gradients[i]), largest(v)));
    expect(d.empty(), std::string(by_the_op ? "broadcast by the op, " : "expanded view, ") + "gradient of input " +
                          std::to_string(i) + ": " + d);
  }
  ++t.checked;
}

void check(Trial& t) {
  draw_dtype(t);
  const Problem& p = t.problem;
  Tensors first;
  std::vector<Shape> shapes;
  for (const Tensor& x : p.inputs) {
    Tensor small = x;
    for (int d = 0; x.defined() && is_float(x.dtype()) && d < x.rank(); ++d) {
      if (x.shape()[d] > 1 && t.draw.chance(0.5)) small = small.slice(d, 0, 1);
    }
    first.push_back(x.defined() ? small.clone() : x);
    shapes.push_back(x.defined() ? x.shape() : Shape{});
    t.strided = t.strided || (x.defined() && small.numel() < x.numel());
  }
  compare(t, p.f, first, shapes, false);
  if (p.broadcast && std::string(t.op_case.op) != "expand") {
    compare(t, p.f, p.inputs, expanded_shapes(t.op_case, p.inputs), true);
  }
}

}  // namespace

Property property_broadcasting() {
  return {.name = "Broadcasting", .claim = "a broadcast equals its materialised expansion", .check = check};
}

}  // namespace folio::testing
