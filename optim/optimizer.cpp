#include "optim/optimizer.hpp"

#include <cmath>

#include "autograd/tape.hpp"
#include "optim/check.hpp"
#include "optim/clip.hpp"
#include "optim/named_state.hpp"

namespace folio::optim {
namespace {

void check_trainable(const Parameter& p) {
  const Tensor& x = p.value;
  const bool trainable =
      x.defined() && is_float(x.dtype()) && x.is_contiguous() && x.requires_grad() && x.slot()->is_leaf();
  require(trainable, [&] {
    return "optimizer: parameter '" + p.name + "' must be a packed float leaf that requires a gradient, it is " +
           (x.defined() ? describe(x) : "undefined");
  });
}

void check_factor(double factor) {
  check(std::isfinite(factor), "optimizer", "the gradient factor", factor,
        "finite: skip this step, its gradients are not finite");
}

}  // namespace

Optimizer::Optimizer(const Parameters& parameters, double lr,
                     const std::function<Names(const Parameter&)>& state_names_of) {
  set_lr(lr);
  require(!parameters.empty(), [] { return std::string("optimizer: no parameters; give at least one to train"); });
  for (const Parameter& p : parameters) check_trainable(p);
  check_apart(parameters, "optimizer");
  for (const Parameter& p : parameters) {
    Slot slot{p, state_names_of(p), {}};
    for (std::size_t i = 0; i < slot.state_names.size(); ++i)
      slot.state.push_back(zeros(p.value.shape(), p.value.options()));
    slots_.push_back(std::move(slot));
  }
}

std::vector<double> Optimizer::Group::weight_decay(double rate) const {
  std::vector<double> all;
  all.reserve(decays.size());
  for (const bool each : decays) all.push_back(each ? rate : 0);
  return all;
}

void Optimizer::step(double gradient_factor) {
  check_factor(gradient_factor);
  take_step(full({}, gradient_factor, {DType::float64, slots_[0].parameter.value.device()}));
}

void Optimizer::step(const Clipped& clipped) {
  if (clipped.known()) check_factor(clipped.factor());
  take_step(clipped.factor_there());
}

void Optimizer::take_step(const Tensor& factor) {
  std::map<std::pair<DType, Names>, Group> groups;
  for (Slot& slot : slots_) {
    const Tensor& value = slot.parameter.value;
    if (!value.grad().defined()) continue;
    Group& group = groups[{value.dtype(), slot.state_names}];
    group.state_names = slot.state_names;
    group.values.push_back(value);
    group.gradients.push_back(value.grad());
    group.state.resize(slot.state.size());
    for (std::size_t i = 0; i < slot.state.size(); ++i) group.state[i].push_back(slot.state[i]);
    group.decays.push_back(slot.parameter.decays);
    group.matrix_rows.push_back(slot.parameter.matrix_rows);
  }
  require(!groups.empty(), [&] {
    return "optimizer: none of the " + std::to_string(slots_.size()) + " parameters, '" + slots_[0].parameter.name +
           "' first, has a gradient: call backward, on a loss that depends on them, before each step";
  });
  ++steps_;
  for (auto& [key, group] : groups) {
    update(group, factor);
    for (Tensor& value : group.values) {
      value.mark_changed();
      value.zero_grad();
    }
  }
}

void Optimizer::zero_grad() {
  for (Slot& slot : slots_) slot.parameter.value.zero_grad();
}

void Optimizer::set_lr(double lr) {
  check(std::isfinite(lr) && lr >= 0, "optimizer", "lr", lr, "finite and at least 0");
  lr_ = lr;
}

void Optimizer::set_steps(std::int64_t steps) {
  check(steps >= 0, "optimizer", "the number of steps", static_cast<double>(steps), "at least 0");
  steps_ = steps;
}

std::vector<std::pair<std::string, Tensor>> Optimizer::state() const {
  std::vector<std::pair<std::string, Tensor>> all;
  for (const Slot& slot : slots_) {
    for (std::size_t i = 0; i < slot.state.size(); ++i) {
      all.emplace_back(slot.parameter.name + "." + slot.state_names[i], slot.state[i]);
    }
  }
  return all;
}

void Optimizer::load_state(const std::map<std::string, Tensor>& state) {
  load_named("optimizer", this->state(), state);
}

}  // namespace folio::optim
