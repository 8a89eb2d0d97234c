#include <gtest/gtest.h>

#include "tests/autograd/op_case.hpp"

namespace folio::testing {

TEST(EveryOp, AgreesWithFiniteDifferences) {
  for (const OpCase& c : all_cases()) {
    if (std::string(c.op) == "cast") continue;
    for (std::uint64_t seed = 0; seed < 30; ++seed) {
      Draw draw(seed);
      const Problem p = c.draw(draw);
      const auto report = gradcheck(p.f, p.inputs, {.seed = seed});
      EXPECT_TRUE(report) << c.op << " " << p.description << ": " << report;
      if (!p.composed) continue;
      const auto composed = gradcheck(p.composed, p.inputs, {.seed = seed});
      EXPECT_TRUE(composed) << c.op << " composed " << p.description << ": " << composed;
    }
  }
}

}  // namespace folio::testing
