#pragma once
#include "optim/optimizer.hpp"

namespace folio::optim {

struct SGDOptions {
  double lr = 1e-2;
  double momentum = 0;
  bool nesterov = false;
  double weight_decay = 0;  ///< decoupled, as in AdamW
};

/// Stochastic gradient descent with momentum (Sutskever et al. 2013): u ← μu + g,  p ← p − lr·(λp + u), or with Nesterov's
/// look-ahead g + μu in place of u.
class SGD : public Optimizer {
 public:
  /// lr ≥ 0, momentum in [0, 1) and above 0 for Nesterov's, weight_decay ≥ 0; anything else is an Error.
  SGD(const Parameters& parameters, SGDOptions options = {});

 private:
  void update(Group& group, const Tensor& factor) override;
  SGDOptions options_;
};

}  // namespace folio::optim
