#include "tests/autograd/properties/layout.hpp"

#include <limits>
#include <utility>

namespace folio::testing {

namespace {

struct Kind {
  bool permuted, padded, gapped;
};

LaidOut laid_out_as(const Kind& kind, const Tensor& x, Draw& draw) {
  const int rank = x.rank();
  const bool gapped = kind.gapped && rank < Dims::max_rank;
  Dims order;  // storage dimension d holds dimension order[d] of x
  for (int d = 0; d < rank; ++d) order.push_back(d);
  if (kind.permuted) {
    for (int d = rank - 1; d > 0; --d) std::swap(order[d], order[static_cast<int>(draw.integer(0, d))]);
    if (rank > 1 && draw.chance(0.5)) std::swap(order[rank - 1], order[rank - 2]);
  }
  Shape stored;
  Dims begin = Dims::filled(rank, 0), back = Dims::filled(rank, 0);
  for (int d = 0; d < rank; ++d) {
    stored.push_back(x.shape()[static_cast<int>(order[d])]);
    back[static_cast<int>(order[d])] = d;
    if (!kind.padded || !draw.chance(0.6)) continue;
    begin[d] = draw.integer(0, 2);
    stored[d] += begin[d] + draw.integer(0, 2);
  }
  if (gapped) stored.push_back(draw.integer(2, 3));
  const double poison = is_float(x.dtype()) ? std::numeric_limits<double>::quiet_NaN() : -1e9;
  LaidOut out;
  out.base = full(stored, poison, x.options());
  Tensor view = out.base;
  if (gapped) {
    const Strides& strides = view.strides();
    stored.erase(rank);
    view = {view.storage(), 1, stored, Dims(std::span(strides.begin(), static_cast<std::size_t>(rank))), view.dtype()};
  }
  for (int d = 0; d < rank; ++d) view = view.slice(d, begin[d], begin[d] + x.shape()[static_cast<int>(order[d])]);
  out.view = view.permute(back).detach();
  out.view.copy_from(x);
  return out;
}

}  // namespace

LaidOut laid_out(const Tensor& x, Draw& draw) {
  const LaidOut out = laid_out_as({draw.chance(0.6), draw.chance(0.5), draw.chance(0.2)}, x, draw);
  return out.strided() || x.numel() < 2 ? out : laid_out_as({true, true, true}, x, draw);
}

Tensor repeated(const Tensor& x, Draw& draw) {
  Tensor first = x.detach();
  for (int d = 0; d < x.rank(); ++d) {
    if (x.shape()[d] > 1 && draw.chance(0.5)) first = first.slice(d, 0, 1);
  }
  return first.expand(x.shape()).detach();
}

}  // namespace folio::testing
