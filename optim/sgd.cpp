#include "optim/sgd.hpp"

#include <cmath>

#include "autograd/kernels.hpp"
#include "optim/check.hpp"

namespace folio::optim {

SGD::SGD(const Parameters& parameters, SGDOptions options)
    : Optimizer(parameters, options.lr, {"momentum"}), options_(options) {
  const auto& [lr, momentum, nesterov, weight_decay] = options;
  check(momentum >= 0 && momentum < 1, "sgd", "momentum", momentum, "in [0, 1)");
  check(!nesterov || momentum > 0, "sgd", "momentum", momentum, "above 0 for Nesterov's look-ahead");
  check(std::isfinite(weight_decay) && weight_decay >= 0, "sgd", "weight_decay", weight_decay, "finite and at least 0");
}

void SGD::update(Slot& slot, const Tensor& gradient, double gradient_factor) {
  kernel::sgd(slot.parameter.value, gradient, slot.state[0],
              SGDStep{.lr = lr(),
                      .momentum = options_.momentum,
                      .nesterov = options_.nesterov,
                      .weight_decay = slot.parameter.decays ? options_.weight_decay : 0,
                      .gradient_factor = gradient_factor});
}

}  // namespace folio::optim
