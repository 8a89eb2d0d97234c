#include "autograd/ops/op.hpp"

#include <utility>

#include "autograd/fault.hpp"

namespace folio {

Tensor unbroadcast(const Tensor& gradient, const Shape& shape) {
  if (gradient.shape() == shape) return gradient;
  if (fault::active(fault::Point::skip_broadcast_reduction)) {
    Tensor first = gradient;
    while (first.rank() > shape.size())
      first = first.slice(0, 0, 1).reshape(Dims({first.shape().begin() + 1, first.shape().end()}));
    for (int d = 0; d < shape.size(); ++d) first = first.slice(d, 0, shape[d]);
    return first;
  }
  Dims expanded;
  const int extra = gradient.rank() - shape.size();
  for (int d = 0; d < gradient.rank(); ++d) {
    if (d < extra || (shape[d - extra] == 1 && gradient.shape()[d] != 1)) expanded.push_back(d);
  }
  return sum(gradient, expanded, true).reshape(shape);
}

namespace {
bool is_unit_inner(const Tensor& x) { return x.strides().back() == 1 || x.dim(-1) <= 1; }
}  // namespace

Tensor unit_inner(const Tensor& x) { return is_unit_inner(x) ? x.detach() : x.clone(); }

Tensor as_rows(const Tensor& x) {
  std::int64_t rows = 1;
  for (int d = 0; d + 1 < x.rank(); ++d) rows *= x.shape()[d];
  return reshaped(x, {rows, x.dim(-1)});
}

Tensor unit_rows(const Tensor& x) {
  Tensor rows = as_rows(x);
  return is_unit_inner(rows) ? rows : rows.clone();
}

Tensor transposed(const Tensor& x) {
  Shape shape = x.shape();
  Strides strides = x.strides();
  std::swap(shape[x.rank() - 1], shape[x.rank() - 2]);
  std::swap(strides[x.rank() - 1], strides[x.rank() - 2]);
  return {x.storage(), x.offset(), shape, strides, x.dtype()};
}

Tensor weight_for(const Tensor& x, const Tensor& weight) {
  return weight.dtype() == x.dtype() ? weight : cast(weight.detach(), x.dtype());
}

void require_float(const Tensor& x, const char* op) {
  require(x.defined() && is_float(x.dtype()),
          [&] { return std::string(op) + ": needs a float tensor, got " + describe(x); });
}

void require_index(const Tensor& x, const char* op) {
  require(x.defined() && !is_float(x.dtype()),
          [&] { return std::string(op) + ": needs an index tensor (int32 or int64), got " + describe(x); });
}

Options statistics_options(const Tensor& x) { return {compute_dtype(x.dtype()), x.device()}; }

void require_same_float(const Tensor& a, const Tensor& b, const char* op) {
  require_float(a, op);
  require_float(b, op);
  require(a.dtype() == b.dtype(), [&] {
    return std::string(op) + ": dtypes differ: " + describe(a) + " and " + describe(b) + "; convert one with to(DType)";
  });
}

void require_weight(const Tensor& x, const Tensor& weight, const char* op) {
  require_float(x, op);
  require_float(weight, op);
  require(weight.dtype() == x.dtype() || weight.dtype() == compute_dtype(x.dtype()), [&] {
    return std::string(op) + ": a weight of " + describe(weight) + " does not go with " + describe(x) +
           "; convert one with to(DType)";
  });
}

}  // namespace folio
