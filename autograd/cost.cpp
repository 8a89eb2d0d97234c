#include "autograd/cost.hpp"

#include "autograd/tape.hpp"

namespace folio {
namespace {

double bytes_of(const Shape& shape, DType dtype) {
  return static_cast<double>(numel(shape)) * static_cast<double>(size_of(dtype));
}
double bytes_of(const Tensor& x) { return x.defined() ? bytes_of(x.shape(), x.dtype()) : 0; }

/// A product of x (…, k) that makes y costs 2·k for each element of y, its gradient for either factor as much again.
bool is_product(OpName op) { return op == op::matmul || op == op::linear || op == op::expert_matmul; }

double product_flops(const Shape& x, const Shape& y) {
  return 2 * static_cast<double>(numel(y)) * static_cast<double>(x.back());
}

/// Multiplications and additions of one score and of one value, over all (query, key) pairs that the mask leaves:
/// q (B, T, H, K + R), v (B, S, H, V).
struct AttentionFlops {
  double score, value;
};
AttentionFlops attention_flops(const Shape& q, const Shape& v) {
  const auto queries = static_cast<double>(q[1]), offset = static_cast<double>(v[1] - q[1]);
  const double pairs = static_cast<double>(q[0] * q[2]) * queries * (offset + (queries + 1) / 2);
  return {2 * pairs * static_cast<double>(q[3]), 2 * pairs * static_cast<double>(v[3])};
}

/// Rows are picked from a table, of which the others stay unread.
bool picks_rows(OpName op) { return op == op::embedding || op == op::gather; }

}  // namespace

Cost forward_cost(const Record& r) {
  Cost cost;
  for (const Tensor& y : r.outputs) cost.bytes += bytes_of(y);
  if (picks_rows(r.op)) {
    cost.bytes *= 2;
  } else {
    for (const Tensor& x : r.inputs) cost.bytes += bytes_of(x);
  }
  if (is_product(r.op)) cost.flops = product_flops(r.inputs[0].shape(), r.outputs[0].shape());
  if (r.op == op::causal_attention) {
    const auto [score, value] = attention_flops(r.inputs[0].shape(), r.inputs[2].shape());
    cost.flops = score + value;
  }
  return cost;
}

Cost backward_cost(const Entry& e) {
  Cost cost;
  for (const auto& y : e.outputs) cost.bytes += y ? bytes_of(y->shape, y->options.dtype) : 0;
  for (std::size_t i = 0; i < e.saved_count(); ++i) cost.bytes += bytes_of(e.saved_as_is(i));
  int needed = 0;
  for (std::size_t i = 0; i < e.inputs.size(); ++i) {
    if (!e.needs(i)) continue;
    cost.bytes += bytes_of(e.input_shape(i), e.inputs[i]->options.dtype);
    ++needed;
  }
  if (is_product(e.op)) cost.flops = needed * product_flops(e.input_shape(0), e.outputs[0]->shape);
  if (e.op == op::causal_attention) {  // scores and dy·v made again; dv; dq and dkey
    const auto [score, value] = attention_flops(e.input_shape(0), e.input_shape(2));
    cost.flops = 3 * score + 2 * value;
  }
  return cost;
}

}  // namespace folio
