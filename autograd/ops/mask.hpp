#pragma once
// Masks: int32 tensors that are 1 where an op let an element through. Saved as such, so that the gradient checker sees
// the choice. Not a public header.
#include "autograd/ops/op.hpp"

namespace folio {

/// A mask for x, to be filled by a kernel, or an undefined tensor if no tape will need it.
Tensor mask_for(const Tensor& x);

/// For backward functions: factor·x where the mask is set, and 0 elsewhere; the other way round if not `kept`. The mask broadcasts to x.
Tensor masked(const Tensor& mask, const Tensor& x, double factor = 1, bool kept = true);

}  // namespace folio
