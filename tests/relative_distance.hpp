#pragma once
#include <cmath>
#include <limits>
#include <vector>

namespace folio::testing {

/// ‖x − from‖/‖from‖; infinite where there are not as many numbers in both.
inline double relative_distance(const std::vector<double>& x, const std::vector<double>& from) {
  if (x.size() != from.size()) return std::numeric_limits<double>::infinity();
  double size = 0, squares = 0;
  for (std::size_t i = 0; i < from.size(); ++i) {
    size += from[i] * from[i];
    squares += (x[i] - from[i]) * (x[i] - from[i]);
  }
  return std::sqrt(squares / size);
}

}  // namespace folio::testing
