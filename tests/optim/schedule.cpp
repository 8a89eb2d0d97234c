#include "optim/schedule.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/optim/support.hpp"

namespace folio::optim {
namespace {

TEST(Schedule, WarmsUpInAStraightLine) {
  for (const Schedule& s : {Schedule::constant(2.0, 10), Schedule::cosine(2.0, 10, 111, 0.1)}) {
    for (std::int64_t step = 0; step < 10; ++step) EXPECT_DOUBLE_EQ(s(step), 0.2 * static_cast<double>(step + 1));
    EXPECT_DOUBLE_EQ(s(10), 2.0);
  }
}

TEST(Schedule, FallsAlongACosineToItsFloorAndStaysThere) {
  const auto s = Schedule::cosine(2.0, 10, 111, 0.1);
  EXPECT_NEAR(s(35), 2 * (0.1 + 0.9 * (1 + std::sqrt(0.5)) / 2), 1e-12);
  EXPECT_NEAR(s(60), 1.1, 1e-12);  // half-way: the mean of peak and floor
  EXPECT_NEAR(s(110), 0.2, 1e-12);
  EXPECT_NEAR(s(1'000'000), 0.2, 1e-12);
  for (std::int64_t step = 10; step < 110; ++step) EXPECT_GT(s(step), s(step + 1));
}

TEST(Schedule, StaysAtThePeakWhereItIsConstant) {
  EXPECT_DOUBLE_EQ(Schedule::constant(2.0, 4)(4), 2.0);
  EXPECT_DOUBLE_EQ(Schedule::constant(2.0)(0), 2.0);
  EXPECT_DOUBLE_EQ(Schedule::constant(2.0)(1'000'000), 2.0);
}

TEST(Schedule, BearsRunsShorterThanTheirWarmUp) {
  const auto s = Schedule::cosine(3e-4, 100, 3, 0.1);
  EXPECT_DOUBLE_EQ(s(0), 3e-6);
  EXPECT_DOUBLE_EQ(s(2), 9e-6);
  EXPECT_DOUBLE_EQ(Schedule::cosine(1.0, 0, 1, 0.1)(0), 1.0);
}

TEST(Schedule, RefusesImpossibleShapes) {
  EXPECT_EQ(error_of([] { Schedule::constant(-1); }), "schedule: peak is -1, it must be finite and at least 0");
  EXPECT_EQ(error_of([] { Schedule::cosine(1, 0, 0, 0.1); }), "schedule: steps is 0, it must be at least 1");
  EXPECT_THROW(Schedule::constant(std::nan("")), Error);
  EXPECT_THROW(Schedule::constant(1, -1), Error);
  EXPECT_THROW(Schedule::cosine(1, -1, 9, 0.1), Error);
  EXPECT_THROW(Schedule::cosine(1, 0, 9, 1.5), Error);
  EXPECT_THROW(Schedule::cosine(1, 0, 9, -0.1), Error);
  EXPECT_THROW(Schedule::cosine(1, 0, 9, std::nan("")), Error);
  EXPECT_THROW(Schedule::constant(1)(-1), Error);
}

}  // namespace
}  // namespace folio::optim
