#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "autograd/parameter.hpp"

namespace folio::optim {

/// An exponential moving average of the parameters (Polyak and Juditsky 1992; Tarvainen and Valpola 2017), which often
/// predicts better than where training stands: after each step
///   average ← d·average + (1 − d)·value,  d = min(decay, (1 + t)/(10 + t)) at update t from 0,
/// TensorFlow's warm-up, so that the beginning is soon forgotten. Averages begin as the parameters' values.
class EMA {
 public:
  /// decay in [0, 1); anything else is an Error. Averages are where the parameters are.
  EMA(const Parameters& parameters, double decay);

  /// Takes the values of now in. An Error while the averages stand in the parameters' place.
  void update();
  /// Exchanges averages and values: before validation or saving, and again after it.
  void swap();

  std::int64_t updates() const { return updates_; }
  void set_updates(std::int64_t updates);
  /// Averages by name ("embed_tokens.weight.ema"). The tensors are the EMA's own.
  std::vector<std::pair<std::string, Tensor>> state() const;
  /// Copies the values in. Throws, and changes nothing, if a name is missing or extra, a shape differs, or integers are
  /// given.
  void load_state(const std::map<std::string, Tensor>& state);

 private:
  Parameters parameters_;
  Tensors averages_;
  double decay_;
  std::int64_t updates_ = 0;
  bool swapped_ = false;
};

/// While in scope, the averages stand in the parameters' place.
class Averaged {
 public:
  explicit Averaged(EMA& ema) : ema_(ema) { ema_.swap(); }
  ~Averaged() { ema_.swap(); }
  Averaged(const Averaged&) = delete;
  Averaged& operator=(const Averaged&) = delete;

 private:
  EMA& ema_;
};

}  // namespace folio::optim
