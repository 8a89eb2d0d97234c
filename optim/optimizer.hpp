#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "autograd/parameter.hpp"

namespace folio::optim {

class Clipped;

/// What every optimizer is: parameters, and for each one state tensors of its shape. A step consumes the gradients.
class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  /// One update of every parameter that has a gradient, each gradient times `gradient_factor`; then the gradients are gone.
  /// An Error that changes nothing if the factor is not finite, or if no parameter has a gradient: backward did not reach
  /// them. Gradients themselves are taken as they are: clip_by_global_norm looks for NaN in them.
  void step(double gradient_factor = 1);
  /// The same with clipping's factor. On a GPU the host does not wait for it: where it is not finite and nobody has asked
  /// for it yet, the step counts, but changes neither parameters nor state.
  void step(const Clipped& clipped);
  void zero_grad();

  double lr() const { return lr_; }
  /// `lr` ≥ 0, for the steps from now on.
  void set_lr(double lr);

  /// Steps taken so far: with state(), all that a run needs to go on.
  std::int64_t steps() const { return steps_; }
  void set_steps(std::int64_t steps);
  /// Moments by name ("embed_tokens.weight.m"), each of its parameter's shape. The tensors are the optimizer's own.
  std::vector<std::pair<std::string, Tensor>> state() const;
  /// Copies the values in. Throws, and changes nothing, if a name is missing or extra, a shape differs, or integers are
  /// given.
  void load_state(const std::map<std::string, Tensor>& state);

 protected:
  using Names = std::vector<std::string>;
  /// Parameters of one dtype, with state of the same names, and what belongs to them, each at its parameter's place.
  struct Group {
    Tensors values, gradients;
    Names state_names;
    std::vector<Tensors> state;  ///< by name, then by parameter
    std::vector<bool> decays;
    std::vector<std::int64_t> matrix_rows;

    /// `rate` for those that decay, 0 for the others.
    std::vector<double> weight_decay(double rate) const;
  };
  /// One zero tensor per name that `state_names_of` gives a parameter. Each parameter must be a packed float leaf that
  /// requires a gradient, with a name and a memory of its own.
  Optimizer(const Parameters& parameters, double lr, const std::function<Names(const Parameter&)>& state_names_of);
  /// Moves the group's values by their gradients times `factor`, a float64 scalar on their device; not where that is not
  /// finite.
  virtual void update(Group& group, const Tensor& factor) = 0;

 private:
  struct Slot {
    Parameter parameter;
    Names state_names;
    Tensors state;
  };
  void take_step(const Tensor& factor);

  std::vector<Slot> slots_;
  double lr_ = 0;
  std::int64_t steps_ = 0;
};

}  // namespace folio::optim
