#include "nn/bias_scheme.hpp"

#include <gtest/gtest.h>

#include <numeric>

#include "autograd/error.hpp"

namespace folio {
namespace {

std::vector<float> stepped(const std::string& name, double rate, std::vector<float> bias,
                           const std::vector<std::int64_t>& loads) {
  make_bias_scheme(name, rate)->update(bias, loads);
  return bias;
}

const std::vector<std::int64_t> loads = {10, 2, 4, 0};  // mean 4

}  // namespace

TEST(BiasScheme, FollowsItsFormula) {
  EXPECT_EQ(stepped("none", 0.5, {1, 2, 3, 4}, loads), (std::vector<float>{1, 2, 3, 4}));
  EXPECT_EQ(stepped("sign", 0.5, {0, 0, 1, 0}, loads), (std::vector<float>{-0.5, 0.5, 1, 0.5}));
  EXPECT_EQ(stepped("centred_sign", 0.5, {0, 0, 1, 0}, loads), (std::vector<float>{-0.625, 0.375, 0.875, 0.375}));
  EXPECT_EQ(stepped("proportional", 0.5, {0, 0, 1, 0}, loads), (std::vector<float>{-0.75, 0.25, 1, 0.5}));
}

TEST(BiasScheme, CentredSignDoesNotDrift) {
  const auto bias = stepped("centred_sign", 0.25, {0, 0, 0, 0}, loads);
  EXPECT_EQ(std::accumulate(bias.begin(), bias.end(), 0.0F), 0);
}

TEST(BiasScheme, AnUnknownNameIsAnError) { EXPECT_THROW(make_bias_scheme("astrology", 1), Error); }

TEST(BiasScheme, MaxViolationIsTheLargestExcessOverTheMean) {
  EXPECT_EQ(max_violation(loads), 1.5);
  EXPECT_EQ(max_violation(std::vector<std::int64_t>{3, 3, 3}), 0);
  EXPECT_EQ(max_violation(std::vector<std::int64_t>{0, 0}), 0);
  EXPECT_EQ(max_violation(std::vector<std::int64_t>{}), 0);
}

}  // namespace folio
