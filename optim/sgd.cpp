#include "optim/sgd.hpp"

#include "autograd/kernels.hpp"

namespace folio::optim {

SGD::SGD(const std::vector<Parameter>& parameters, SGDOptions options)
    : Optimizer(parameters, options.lr, {"momentum"}), options_(options) {}

void SGD::update(Slot& slot, const Tensor& gradient, double gradient_factor) {
  kernel::sgd(slot.parameter.value, gradient, slot.state[0],
              SGDStep{.lr = lr(),
                      .momentum = options_.momentum,
                      .nesterov = options_.nesterov,
                      .weight_decay = slot.parameter.decays ? options_.weight_decay : 0,
                      .gradient_factor = gradient_factor});
}

}  // namespace folio::optim
