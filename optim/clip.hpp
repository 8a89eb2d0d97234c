#pragma once
#include <string>

#include "autograd/parameter.hpp"

namespace folio::optim {

/// A global gradient norm, and the factor that brings it to the limit.
struct Clipped {
  double norm = 0;  ///< √Σ g² over all gradients, before clipping
  double factor =
      1;  ///< min(1, max_norm/norm)/scale, for Optimizer::step; NaN, which it refuses, if norm is not finite
  std::string not_finite;  ///< the first parameter whose gradient's norm is not finite; empty if there is none
};

/// Clipping by global norm (Pascanu et al. 2013) without a pass of its own: the optimizer applies the factor. The norm is
/// summed in float64 and in a fixed order, so that any number of threads gives the same bits. Parameters without a
/// gradient count for nothing. `max_norm` above 0; infinity only measures. Gradients that are `scale` times the true ones
/// (LossScaler's) are taken for what they truly are, and the factor undoes the scale.
Clipped clip_by_global_norm(const Parameters& parameters, double max_norm, double scale = 1);

/// The name of the first parameter that holds a NaN or an infinity; empty if there is none.
std::string first_not_finite(const Parameters& parameters);

}  // namespace folio::optim
