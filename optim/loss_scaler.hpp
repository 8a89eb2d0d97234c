#pragma once
#include <cstdint>

namespace folio::optim {

struct LossScalerOptions {
  double initial = 65536;
  std::int64_t growth_interval = 2000;  ///< clean steps in a row after which the scale doubles
};

/// Dynamic loss scaling (Micikevicius et al. 2018, section 3.2) for gradients in float16, whose smallest number is 2^-24:
/// the loss is multiplied by a scale, so that small gradients do not vanish, and the gradients are divided by it again.
///
///     tape.backward(loss, full({}, scaler.scale()));
///     const Clipped clipped = clip_by_global_norm(parameters, max_norm, scaler.scale());
///     if (scaler.update(clipped.not_finite().empty())) adam.step(clipped);
class LossScaler {
 public:
  /// initial and growth_interval above 0; anything else is an Error.
  explicit LossScaler(LossScalerOptions options = {});

  /// What the loss, that is the cotangent of backward, is multiplied by.
  double scale() const { return scale_; }
  /// Takes whether all gradients of a step were finite, and returns it. If not, the step is to be skipped and the scale is
  /// halved; growth_interval clean steps in a row double it. (A scale below 1 helps nobody: stop there, and take bfloat16.)
  bool update(bool clean);

  std::int64_t skipped() const { return skipped_; }
  std::int64_t clean_steps() const { return clean_steps_; }  ///< since the scale last changed
  /// Goes on where another scaler stood.
  void restore(double scale, std::int64_t clean_steps, std::int64_t skipped);

 private:
  double scale_;
  std::int64_t growth_interval_;
  std::int64_t clean_steps_ = 0, skipped_ = 0;
};

}  // namespace folio::optim
