#pragma once
#include <string>
#include <vector>

#include "autograd/host_copy.hpp"
#include "autograd/parameter.hpp"

namespace folio::optim {

/// A global gradient norm, and the factor that brings it to the limit. Both stay on the gradients' device, where
/// Optimizer::step(clipped) finds them, and travel to the host beside the ops that follow: who asks for them here waits.
class Clipped {
 public:
  /// Of squared norms by name (N) float64, as kernels.def says of clip_factor.
  Clipped(const Tensor& squares, std::vector<std::string> names, double max_norm, double scale);

  /// √Σ g² over all gradients, before clipping.
  double norm() const { return copy_.values()[0]; }
  /// min(1, max_norm/norm)/scale; NaN if the norm is not finite.
  double factor() const { return copy_.values()[1]; }
  /// The first parameter whose gradient's norm is not finite; empty if there is none.
  std::string not_finite() const;
  /// Whether asking for them does not wait.
  bool known() const { return copy_.known(); }

  /// The factor as a float64 scalar on the gradients' device.
  const Tensor& factor_there() const { return factor_there_; }

 private:
  std::vector<std::string> names_;
  Tensor factor_there_;
  HostCopy copy_;  ///< norm, factor, and the place of not_finite in names, or −1
};

/// Clipping by global norm (Pascanu et al. 2013) without a pass of its own: the optimizer applies the factor. The norm is
/// summed in float64 and in a fixed order, so that any number of threads gives the same bits. Parameters without a
/// gradient count for nothing. `max_norm` above 0; infinity only measures. Gradients that are `scale` times the true ones
/// (LossScaler's) are taken for what they truly are, and the factor undoes the scale.
Clipped clip_by_global_norm(const Parameters& parameters, double max_norm, double scale = 1);

/// The name of the first parameter whose squares, summed in float64, are not finite; empty if there is none. Waits for the
/// device.
std::string first_not_finite(const Parameters& parameters);

}  // namespace folio::optim
