// Every module's gradients against finite differences along random directions.
#include <gtest/gtest.h>

#include <iostream>

#include "tests/nn/module_cases.hpp"

namespace folio::testing {

TEST(EveryModule, AgreesWithFiniteDifferencesInAllParametersAndInputs) {
  for (const ModuleCase& c : module_cases()) {
    int checked = 0, discarded = 0, redrawn = 0;
    for (std::uint64_t seed = 0; seed < 12; ++seed) {
      Draw draw(seed);
      const ModuleProblem p = c.draw(draw);
      const auto report = gradcheck_leaves(p.f, p.leaves, {.seed = seed});
      EXPECT_TRUE(report) << c.name << " " << p.description << " seed " << seed << ": " << report;
      checked += report.checked;
      discarded += report.discarded;
      redrawn += p.redrawn;
    }
    std::cout << c.name << ": " << checked << " directions checked, " << discarded << " discarded, " << redrawn
              << " draws near a tie\n";
    EXPECT_LE(discarded, (checked + discarded) / 10) << c.name << ": too many steps cross a discrete choice";
  }
}

}  // namespace folio::testing
