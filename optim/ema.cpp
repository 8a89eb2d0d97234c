#include "optim/ema.hpp"

#include <algorithm>

#include "autograd/kernels.hpp"
#include "optim/check.hpp"
#include "optim/named_state.hpp"

namespace folio::optim {

EMA::EMA(const Parameters& parameters, double decay) : parameters_(parameters), decay_(decay) {
  check(decay >= 0 && decay < 1, "ema", "decay", decay, "in [0, 1)");
  check_apart(parameters_, "ema");
  for (const Parameter& p : parameters_) averages_.push_back(p.value.clone());
}

void EMA::update() {
  require(!swapped_, [] {
    return std::string("ema: the averages stand in the parameters' place, and would be averaged; call swap() first");
  });
  const auto t = static_cast<double>(updates_++);
  const double share = 1 - std::min(decay_, (1 + t) / (10 + t));
  std::map<DType, std::pair<Tensors, Tensors>> groups;
  for (std::size_t i = 0; i < averages_.size(); ++i) {
    auto& [averages, values] = groups[averages_[i].dtype()];
    averages.push_back(averages_[i]);
    values.push_back(parameters_[i].value);
  }
  for (auto& [dtype, group] : groups) kernel::average(group.first, group.second, share);
}

void EMA::swap() {
  for (std::size_t i = 0; i < averages_.size(); ++i) {
    const Tensor value = parameters_[i].value.clone();
    parameters_[i].value.copy_from(averages_[i]);
    averages_[i].copy_from(value);
  }
  swapped_ = !swapped_;
}

void EMA::set_updates(std::int64_t updates) {
  check(updates >= 0, "ema", "the number of updates", static_cast<double>(updates), "at least 0");
  updates_ = updates;
}

std::vector<std::pair<std::string, Tensor>> EMA::state() const {
  std::vector<std::pair<std::string, Tensor>> all;
  for (std::size_t i = 0; i < averages_.size(); ++i) all.emplace_back(parameters_[i].name + ".ema", averages_[i]);
  return all;
}

void EMA::load_state(const std::map<std::string, Tensor>& state) { load_named("ema", this->state(), state); }

}  // namespace folio::optim
