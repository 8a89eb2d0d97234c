#include "optim/optimizer.hpp"

namespace folio::optim {

Optimizer::Optimizer(const std::vector<Parameter>& parameters, double lr, std::vector<std::string> state_names)
    : state_names_(std::move(state_names)), lr_(lr) {
  for (const Parameter& p : parameters) {
    require(p.value.is_contiguous() && p.value.requires_grad(), [&] {
      return "optimizer: parameter '" + p.name + "' must be packed and require a gradient, it is " + describe(p.value);
    });
    Slot slot{p, {}};
    for (std::size_t i = 0; i < state_names_.size(); ++i) slot.state.push_back(zeros(p.value.shape(), p.value.options()));
    slots_.push_back(std::move(slot));
  }
}

void Optimizer::step(double gradient_factor) {
  ++steps_;
  for (Slot& slot : slots_) {
    const Tensor gradient = slot.parameter.value.grad();
    if (!gradient.defined()) continue;
    update(slot, gradient, gradient_factor);
    slot.parameter.value.mark_changed();
    slot.parameter.value.zero_grad();
  }
}

void Optimizer::zero_grad() {
  for (Slot& slot : slots_) slot.parameter.value.zero_grad();
}

std::vector<std::pair<std::string, Tensor>> Optimizer::state() const {
  std::vector<std::pair<std::string, Tensor>> all;
  for (const Slot& slot : slots_) {
    for (std::size_t i = 0; i < state_names_.size(); ++i) {
      all.emplace_back(slot.parameter.name + "." + state_names_[i], slot.state[i]);
    }
  }
  return all;
}

}  // namespace folio::optim
