#include "optim/adamw.hpp"

#include <cmath>

#include "autograd/kernels.hpp"
#include "optim/check.hpp"

namespace folio::optim {

AdamW::AdamW(const Parameters& parameters, AdamWOptions options)
    : AdamW(parameters, options, [](const Parameter&) {
        return Names{"m", "v"};
      }) {}

AdamW::AdamW(const Parameters& parameters, AdamWOptions options,
             const std::function<Names(const Parameter&)>& state_names_of)
    : Optimizer(parameters, options.lr, state_names_of), options_(options) {
  const auto& [lr, beta1, beta2, eps, weight_decay] = options;
  check(beta1 >= 0 && beta1 < 1, "adamw", "beta1", beta1, "in [0, 1)");
  check(beta2 >= 0 && beta2 < 1, "adamw", "beta2", beta2, "in [0, 1)");
  check(std::isfinite(eps) && eps > 0, "adamw", "eps", eps, "finite and above 0");
  check(std::isfinite(weight_decay) && weight_decay >= 0, "adamw", "weight_decay", weight_decay,
        "finite and at least 0");
}

void AdamW::update(Group& group, const Tensor& factor) {
  const auto t = static_cast<double>(steps());
  kernel::adamw(group.values, group.gradients, group.state[0], group.state[1], factor,
                AdamWStep{.lr = lr(),
                          .beta1 = options_.beta1,
                          .beta2 = options_.beta2,
                          .eps = options_.eps,
                          .correction1 = 1 - std::pow(options_.beta1, t),
                          .correction2 = 1 - std::pow(options_.beta2, t),
                          .weight_decay = group.weight_decay(options_.weight_decay)});
}

}  // namespace folio::optim
