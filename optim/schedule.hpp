#pragma once
#include <cstdint>

namespace folio::optim {

/// A learning rate for each step, counted from 0: linear warm-up to the peak, then constant or a cosine down to a floor
/// (Loshchilov and Hutter 2017). A peak or a warm-up below 0 is an Error.
class Schedule {
 public:
  static Schedule constant(double peak, std::int64_t warmup = 0) { return {peak, warmup, 0, 1}; }
  /// `floor`: share of the peak, from 0 to 1, that is left at the last of `steps` ≥ 1 and after it. With a warm-up longer
  /// than that, the peak is not reached.
  static Schedule cosine(double peak, std::int64_t warmup, std::int64_t steps, double floor);
  double operator()(std::int64_t step) const;

 private:
  Schedule(double peak, std::int64_t warmup, std::int64_t steps, double floor);
  double peak_;
  std::int64_t warmup_;
  std::int64_t steps_;  ///< 0: constant
  double floor_;
};

}  // namespace folio::optim
