#include "nn/module.hpp"

#include <algorithm>

namespace folio {
namespace {

/// Whether values keep their meaning: float types convert into each other, an index is only itself.
bool converts(DType from, DType to) { return from == to || (is_float(from) && is_float(to)); }

}  // namespace

Parameters Module::collect(Parameters Module::*own) const {
  Parameters all = this->*own;
  for (const Child& child : children_) {
    for (Parameter p : child.module->collect(own)) {
      p.name = child.name + "." + p.name;
      all.push_back(std::move(p));
    }
  }
  return all;
}

Parameters Module::parameters() const { return collect(&Module::parameters_); }
Parameters Module::buffers() const { return collect(&Module::buffers_); }

std::map<std::string, Tensor> Module::state() const {
  std::map<std::string, Tensor> all;
  for (const Parameter& p : parameters()) all[p.name] = p.value;
  for (const Parameter& b : buffers()) all[b.name] = b.value;
  return all;
}

void Module::load_state(const std::map<std::string, Tensor>& state) {
  const auto own = this->state();
  for (const auto& [name, value] : own) {
    const auto found = state.find(name);
    require(found != state.end(), [&, &name = name, &value = value] {
      return "load_state: '" + name + "' " + to_string(value.shape()) + " is missing: " + std::to_string(state.size()) +
             " tensors were given, the module has " + std::to_string(own.size());
    });
    require(found->second.defined() && found->second.shape() == value.shape(), [&, &name = name, &value = value] {
      return "load_state: '" + name + "' is " + describe(found->second) + " but the module's is " + describe(value) +
             ": build the module with the configuration that the state was saved with";
    });
    require(converts(found->second.dtype(), value.dtype()), [&, &name = name, &value = value] {
      return "load_state: '" + name + "' is " + describe(found->second) + " but the module's is " + describe(value) +
             ": convert it before it is loaded (integers may be quantised, and need their scales)";
    });
  }
  for (const auto& [name, value] : state) {
    require(own.contains(name), [&, &name = name, &value = value] {
      return "load_state: '" + name + "' " + to_string(value.shape()) + " is no part of this module, which has " +
             std::to_string(own.size()) + " tensors";
    });
  }
  std::vector<std::pair<Tensor, Tensor>> pairs;
  pairs.reserve(own.size());
  for (const auto& [name, value] : own) pairs.emplace_back(value, state.at(name));
  copy_all(std::move(pairs));
}

void Module::train(bool on) {
  training_ = on;
  for (const Child& child : children_) child.module->train(on);
}

Evaluating::Evaluating(Module& module) {
  remember(module);
  module.eval();
}

Evaluating::~Evaluating() {
  for (const auto& [module, training] : modes_) module->training_ = training;
}

void Evaluating::remember(Module& module) {
  modes_.emplace_back(&module, module.training_);
  for (const Module::Child& child : module.children_) remember(*child.module);
}

void Module::to(Device device) {
  const Parameters all = parameters();
  for (const Parameter& p : all) {
    if (p.value.device() != device) p.value.require_unrecorded("to");
  }
  for (Parameter p : all) p.value.move_to(device);
  for (Parameter& b : buffers()) b.value.move_to(device);
}

void Module::to(DType dtype) {
  const Parameters all = parameters();
  for (const Parameter& p : all) {
    require(
        is_float(dtype) && compute_dtype(dtype) == DType::float32 && (p.in_halves || p.value.dtype() == DType::float32),
        [&] {
          return "to: weights of " + std::string(name_of(dtype)) + " do not go with '" + p.name + "', which is " +
                 describe(p.value) + ": give f32, bf16 or f16 to a module that was made in float32";
        });
    if (p.in_halves && p.value.dtype() != dtype) p.value.require_unrecorded("to");
  }
  for (Parameter p : all) {
    if (p.in_halves) p.value.convert_to(dtype);
  }
}

void Module::zero_grad() {
  for (Parameter& p : parameters()) p.value.zero_grad();
}

Tensor Module::add_parameter(std::string name, Tensor value, bool decays) {
  value.requires_grad(true);
  parameters_.push_back({std::move(name), value, decays});
  return value;
}

Tensor Module::add_weight(std::string name, Tensor value, bool decays) {
  value = add_parameter(std::move(name), std::move(value), decays);
  parameters_.back().in_halves = true;
  return value;
}

Tensor Module::add_matrix(std::string name, Tensor value, std::int64_t rows) {
  value = add_weight(std::move(name), std::move(value));
  parameters_.back().matrix_rows = rows > 0 ? rows : value.dim(-2);
  return value;
}

Tensor Module::add_buffer(std::string name, Tensor value) {
  buffers_.push_back({std::move(name), value, false});
  return value;
}

void Module::add_child(std::string name, Module& child) {
  const auto same = std::find_if(children_.begin(), children_.end(), [&](const Child& c) { return c.name == name; });
  if (same != children_.end()) {
    same->module = &child;
  } else {
    children_.push_back({std::move(name), &child});
  }
}

}  // namespace folio
