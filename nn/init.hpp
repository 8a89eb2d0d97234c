#pragma once
#include "autograd/ops.hpp"

namespace folio {

/// Normal values with mean 0 and standard deviation `std`.
inline Tensor normal(const Shape& shape, Generator& generator, double std, Options options) {
  return scale(randn(shape, generator, options), std);
}

}  // namespace folio
