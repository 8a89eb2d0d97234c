#pragma once
#include "optim/optimizer.hpp"

namespace folio::optim {

struct AdamWOptions {
  double lr = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0.01;  ///< per step and lr, on parameters whose `decays` is true: not on norms and embeddings
};

/// Adam with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2):
///   m ← β₁m + (1−β₁)g,  v ← β₂v + (1−β₂)g²,  p ← p − lr·(λp + m̂/(√v̂ + ε)),  m̂ = m/(1−β₁ᵗ),  v̂ = v/(1−β₂ᵗ).
/// t counts the optimizer's steps, as in Optax; in PyTorch each parameter's own, so that one whose first gradient comes
/// late starts there with lr, and here with up to (1−β₁)/√(1−β₂) times that: give it an optimizer of its own.
class AdamW : public Optimizer {
 public:
  /// lr ≥ 0, betas in [0, 1), eps > 0, weight_decay ≥ 0; anything else is an Error.
  AdamW(const Parameters& parameters, AdamWOptions options = {});

 protected:
  /// For those who keep another state for some of the parameters, and update these by themselves.
  AdamW(const Parameters& parameters, AdamWOptions options,
        const std::function<Names(const Parameter&)>& state_names_of);
  void update(Group& group, const Tensor& factor) override;

 private:
  AdamWOptions options_;
};

}  // namespace folio::optim
