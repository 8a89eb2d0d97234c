// The same elements in row-major order under another shape      dx = dy under x's shape
#include "autograd/ops/op.hpp"

namespace folio {
namespace {

/// Fills in an extent of −1 and checks the count.
Shape resolved(const Tensor& x, Shape shape) {
  std::int64_t known = 1;
  int open = -1;
  bool legal = true;
  for (int d = 0; d < shape.size(); ++d) {
    if (shape[d] == -1 && open < 0) {
      open = d;
    } else {
      legal = legal && shape[d] >= 0;
      known *= shape[d];
    }
  }
  if (open >= 0 && known > 0 && x.numel() % known == 0) shape[open] = x.numel() / known;
  require(legal && numel(shape) == x.numel() && (open < 0 || shape[open] >= 0),
          [&] { return "reshape: " + describe(x) + " does not fit shape " + to_string(shape); });
  return shape;
}

/// Strides that view x under `shape` without a copy, if there are any: each run of target extents must tile a run of
/// source dimensions that are packed among themselves.
bool view_strides(const Tensor& x, const Shape& shape, Strides& strides) {
  strides = contiguous_strides(shape);
  if (x.numel() == 0 || x.is_contiguous()) return true;
  int d = shape.size() - 1;
  std::int64_t covered = 1;  // elements of the current packed run of x
  std::int64_t filled = 1;   // of those, how many the target has taken
  std::int64_t base = x.strides().back();
  for (int s = x.rank() - 1; s >= 0; --s) {
    covered *= x.shape()[s];
    const bool run_ends = s == 0 || (x.shape()[s - 1] != 1 && x.strides()[s - 1] != covered * base);
    if (!run_ends) continue;
    while (d >= 0 && (filled < covered || shape[d] == 1)) {
      strides[d] = filled * base;
      filled *= shape[d--];
    }
    if (filled != covered) return false;
    if (s > 0) {
      base = x.strides()[s - 1];
      covered = filled = 1;
    }
  }
  return d < 0;
}

}  // namespace

Tensor reshaped(const Tensor& x, const Shape& shape) {
  Strides strides;
  if (view_strides(x, shape, strides)) return {x.storage(), x.offset(), shape, strides, x.dtype()};
  return {x.clone().storage(), 0, shape, contiguous_strides(shape), x.dtype()};
}

Tensor reshape(const Tensor& x, Shape shape) {
  const Tensor y = reshaped(x, resolved(x, shape));
  return record(
      {.op = op::reshape, .inputs = {x}, .outputs = {y}, .backward = [](const Entry& e, const Tensors& dy) -> Tensors {
         return {reshape(dy[0], e.input_shape(0))};
       }});
}

}  // namespace folio
