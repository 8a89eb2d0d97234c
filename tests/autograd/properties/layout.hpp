#pragma once
#include "tests/autograd/op_case.hpp"

namespace folio::testing {

/// x's values in storage of another layout: permuted, in the middle of something larger, with gaps between neighbours, or
/// all of that. What lies between is poison: NaN, or an index outside everything.
struct LaidOut {
  Tensor view;  ///< equals x
  Tensor base;  ///< the whole storage
  bool strided() const { return !view.is_contiguous(); }
};
LaidOut laid_out(const Tensor& x, Draw& draw);

/// x's values at index 0 of some dimensions, repeated along them by a view of stride 0.
Tensor repeated(const Tensor& x, Draw& draw);

}  // namespace folio::testing
