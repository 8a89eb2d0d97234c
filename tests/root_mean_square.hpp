#pragma once
#include <cmath>

#include "autograd/tensor.hpp"

namespace folio::testing {

/// √(mean of the squares of x).
inline double root_mean_square(const Tensor& x) {
  double square = 0;
  for (double v : x.to_vector()) square += v * v;
  return std::sqrt(square / static_cast<double>(x.numel()));
}

}  // namespace folio::testing
