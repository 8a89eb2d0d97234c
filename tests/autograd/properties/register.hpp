#pragma once
#include <gtest/gtest.h>

#include "tests/autograd/properties/property.hpp"

namespace folio::testing {

/// One gtest `Test(property, op)` for each op that the property applies to, called PROPERTY.OP.
template <class Test>
void register_property(const Property& p) {
  for (const OpCase& c : all_cases()) {
    if (p.applies != nullptr && !p.applies(c)) continue;
    ::testing::RegisterTest(p.name, c.op, nullptr, nullptr, __FILE__, __LINE__,
                            [&p, &c]() -> ::testing::Test* { return new Test(p, c); });
  }
}

template <class Test>
void register_properties() {
  for (const Property& p : all_properties()) register_property<Test>(p);
}

}  // namespace folio::testing
