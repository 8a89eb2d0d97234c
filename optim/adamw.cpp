#include "optim/adamw.hpp"

#include <cmath>

#include "autograd/kernels.hpp"

namespace folio::optim {

AdamW::AdamW(const std::vector<Parameter>& parameters, AdamWOptions options)
    : Optimizer(parameters, options.lr, {"m", "v"}), options_(options) {}

void AdamW::update(Slot& slot, const Tensor& gradient, double gradient_factor) {
  const auto t = static_cast<double>(steps());
  kernel::adamw(slot.parameter.value, gradient, slot.state[0], slot.state[1],
                AdamWStep{.lr = lr(),
                          .beta1 = options_.beta1,
                          .beta2 = options_.beta2,
                          .eps = options_.eps,
                          .weight_decay = slot.parameter.decays ? options_.weight_decay : 0,
                          .correction1 = 1 - std::pow(options_.beta1, t),
                          .correction2 = 1 - std::pow(options_.beta2, t),
                          .gradient_factor = gradient_factor});
}

}  // namespace folio::optim
