#pragma once
#include <memory>

#include "autograd/ops.hpp"
#include "nn/module.hpp"

namespace folio {

/// Zeroes each element with probability p and scales the others by 1/(1 − p) while training; the identity in
/// evaluation. Each call takes the next stream of the generator, whose state is two numbers, so a resumed run draws the
/// same masks.
class Dropout : public Module {
 public:
  Dropout(double p, std::shared_ptr<Generator> generator) : p(p), generator_(std::move(generator)) {
    require(p >= 0 && p < 1, [&] { return "Dropout: p is " + std::to_string(p) + ", it must be in [0, 1)"; });
  }

  Tensor operator()(const Tensor& x) const {
    return training() && p > 0 ? dropout(x, p, generator_->next_stream()) : x;
  }

  double p;

 private:
  std::shared_ptr<Generator> generator_;
};

}  // namespace folio
