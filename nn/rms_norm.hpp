#pragma once
#include "autograd/ops.hpp"
#include "nn/module.hpp"

namespace folio {

/// x/√(mean(x²) + eps)·weight over the last dimension; Zhang and Sennrich 2019. The weight starts at 1 and does not
/// decay.
class RMSNorm : public Module {
 public:
  explicit RMSNorm(std::int64_t width, Options options = {}, double eps = 1e-6)
      : weight(add_parameter("weight", ones({width}, options), false)), eps(eps) {}

  Tensor operator()(const Tensor& x) const { return rms_norm(x, weight, eps); }

  Tensor weight;  ///< (width)
  double eps;
};

}  // namespace folio
