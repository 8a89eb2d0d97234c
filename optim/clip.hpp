#pragma once
#include <vector>

#include "autograd/parameter.hpp"

namespace folio::optim {

/// A global gradient norm, and the factor that brings it to the limit.
struct Clipped {
  double norm = 0;    ///< √Σ g² over all gradients, before clipping
  double factor = 1;  ///< min(1, max_norm/norm): for Optimizer::step
};

/// Clipping by global norm (Pascanu et al. 2013) without a pass of its own: the optimizer applies the factor. The norm is
/// summed in a fixed order, so that any number of threads gives the same bits. Not finite if a gradient is not.
Clipped clip_by_global_norm(const std::vector<Parameter>& parameters, double max_norm);

}  // namespace folio::optim
