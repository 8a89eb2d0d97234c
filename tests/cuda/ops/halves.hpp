#pragma once
#include "tests/autograd/properties/property.hpp"

namespace folio::testing {

/// The device under test against the CPU, both in 16 bits; the draw's inputs may be on either.
const Property& property_halves();

}  // namespace folio::testing
