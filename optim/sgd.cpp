#include "optim/sgd.hpp"

#include <cmath>

#include "autograd/kernels.hpp"
#include "optim/check.hpp"

namespace folio::optim {

SGD::SGD(const Parameters& parameters, SGDOptions options)
    : Optimizer(parameters, options.lr, [](const Parameter&) { return Names{"momentum"}; }), options_(options) {
  const auto& [lr, momentum, nesterov, weight_decay] = options;
  check(momentum >= 0 && momentum < 1, "sgd", "momentum", momentum, "in [0, 1)");
  check(!nesterov || momentum > 0, "sgd", "momentum", momentum, "above 0 for Nesterov's look-ahead");
  check(std::isfinite(weight_decay) && weight_decay >= 0, "sgd", "weight_decay", weight_decay, "finite and at least 0");
}

void SGD::update(Group& group, const Tensor& factor) {
  kernel::sgd(group.values, group.gradients, group.state[0], factor,
              SGDStep{.lr = lr(),
                      .momentum = options_.momentum,
                      .nesterov = options_.nesterov,
                      .weight_decay = group.weight_decay(options_.weight_decay)});
}

}  // namespace folio::optim
