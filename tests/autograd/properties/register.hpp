#pragma once
#include <gtest/gtest.h>

#include "tests/autograd/properties/property.hpp"

namespace folio::testing {

/// One gtest `Test(property, op)` for each property and each op that it applies to, called PROPERTY.OP.
template <class Test>
void register_properties() {
  for (const Property& p : all_properties()) {
    for (const OpCase& c : all_cases()) {
      if (p.applies != nullptr && !p.applies(c)) continue;
      ::testing::RegisterTest(p.name, c.op, nullptr, nullptr, __FILE__, __LINE__,
                              [&p, &c]() -> ::testing::Test* { return new Test(p, c); });
    }
  }
}

}  // namespace folio::testing
