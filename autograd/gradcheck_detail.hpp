#pragma once
// What gradcheck.cpp reckons with: values of many tensors at once, and a function's derivative beside its gradient.
// Not a public header.
#include <algorithm>
#include <cmath>
#include <vector>

#include "autograd/tensor.hpp"

namespace folio::detail {

using Values = std::vector<double>;
using Parts = std::vector<Values>;  // one for each tensor

inline Parts values_of(const Tensors& tensors) {
  Parts all;
  for (const Tensor& x : tensors) all.push_back(is_float(x.dtype()) ? x.to_vector() : Values{});
  return all;
}

inline Parts zeros_like(const Parts& parts) {
  Parts zeros;
  for (const Values& part : parts) zeros.emplace_back(part.size(), 0.0);
  return zeros;
}

inline double dot(const Parts& a, const Parts& b) {
  double total = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (std::size_t j = 0; j < a[i].size(); ++j) total += a[i][j] * b[i][j];
  }
  return total;
}

/// The function at one point: outputs and the discrete choices behind them.
struct Evaluation {
  Parts outputs;
  Parts choices;
};

/// d outputs / d distance along a direction, for each output element.
struct Derivative {
  bool discarded = false;  // a discrete choice changed on the way
  Parts wide;              // central difference over h
  Parts extrapolated;      // Richardson
};

struct Comparison {
  double analytic = 0, numeric = 0, allowed = 0;
  double excess() const { return std::abs(analytic - numeric) / std::max(allowed, 1e-300); }
  /// Never where something is NaN or infinite: an infinite allowance would forgive everything.
  bool agrees() const { return std::abs(analytic - numeric) <= allowed && std::isfinite(allowed); }
};

/// Puts the values and gradients of the leaves back.
class Restore {
 public:
  Restore(const Tensors& leaves, const Parts& values) : leaves_(leaves), values_(values) {
    for (const Tensor& x : leaves_) gradients_.push_back(x.grad());
  }
  ~Restore() {
    for (std::size_t i = 0; i < leaves_.size(); ++i) {
      leaves_[i].copy_from(from_vector(values_[i], leaves_[i].shape(), leaves_[i].options()));
      leaves_[i].set_grad(gradients_[i]);
    }
  }
  Restore(const Restore&) = delete;
  Restore& operator=(const Restore&) = delete;

 private:
  Tensors leaves_, gradients_;
  Parts values_;
};

}  // namespace folio::detail
