#include "optim/clip.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "optim/sgd.hpp"
#include "tests/optim/support.hpp"

namespace folio::optim {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

double norm_of_gradients(const Parameters& parameters) {
  long double total = 0;
  for (const Parameter& p : parameters) {
    for (double g : p.value.grad().to_vector()) total += static_cast<long double>(g) * g;
  }
  return static_cast<double>(std::sqrt(total));
}

TEST(Clipping, BringsTheGlobalNormToTheLimitAndLeavesSmallOnesAlone) {
  for (const DType dtype : {DType::float32, DType::float64}) {
    Parameters parameters = some_parameters(dtype);
    set_gradients(parameters, 3);
    const double norm = norm_of_gradients(parameters);
    for (const double limit : {0.01, 1.5, 50.0, 1e6, infinity}) {
      const Clipped clipped = clip_by_global_norm(parameters, limit);
      EXPECT_NEAR(clipped.norm() / norm, 1, 1e-12);
      EXPECT_EQ(clipped.factor(), limit < clipped.norm() ? limit / clipped.norm() : 1);
      EXPECT_EQ(clipped.not_finite(), "");
    }
    EXPECT_EQ(clip_by_global_norm(parameters, norm * 1.001).factor(), 1);
    EXPECT_LT(clip_by_global_norm(parameters, norm * 0.999).factor(), 1);
  }
}

TEST(Clipping, GivesTheSameBitsForAnyNumberOfThreads) {
  Parameters parameters = some_parameters();
  set_gradients(parameters, 4);
  const auto norm = [&](int n) {
    const Threads threads(n);
    return clip_by_global_norm(parameters, 1).norm();
  };
  for (const int n : {2, 3, 8}) EXPECT_EQ(norm(n), norm(1)) << n << " threads";
}

TEST(Clipping, CountsOnlyParametersWithAGradient) {
  Parameters parameters = some_parameters();
  EXPECT_EQ(clip_by_global_norm(parameters, 1).norm(), 0);
  EXPECT_EQ(clip_by_global_norm(parameters, 1).factor(), 1);
  parameters[1].value.set_grad(full({5}, 2.0));
  EXPECT_NEAR(clip_by_global_norm(parameters, 1).norm(), 2 * std::sqrt(5.0), 1e-12);
  EXPECT_EQ(clip_by_global_norm({}, 1).norm(), 0);
}

TEST(Clipping, DoesNotOverflowInFloat32) {
  Parameters parameters = {parameter("p", zeros({4}))};
  parameters[0].value.set_grad(full({4}, 1e30));
  EXPECT_NEAR(clip_by_global_norm(parameters, 1).norm() / 2e30, 1, 1e-6);
}

TEST(Clipping, NamesTheFirstGradientThatIsNotFiniteAndItsFactorStopsTheStep) {
  for (const double bad : {std::nan(""), infinity, -infinity}) {
    for (const std::size_t place : {0, 1, 2}) {
      Parameters parameters = some_parameters();
      set_gradients(parameters, 5);
      for (std::size_t i = place; i < 3; ++i) {
        std::vector<double> values = parameters[i].value.grad().to_vector();
        values.back() = bad;
        parameters[i].value.set_grad(from_vector(values, parameters[i].value.shape(), {DType::float32}));
      }
      for (const double limit : {1.0, infinity}) {
        const Clipped clipped = clip_by_global_norm(parameters, limit);
        EXPECT_FALSE(std::isfinite(clipped.norm()));
        EXPECT_EQ(clipped.not_finite(), parameters[place].name);
        SGD sgd(parameters);
        const auto before = values_of(parameters);
        EXPECT_THROW(sgd.step(clipped), Error);
        EXPECT_EQ(values_of(parameters), before);
      }
    }
  }
}

TEST(Clipping, RefusesALimitThatIsNotAboveZero) {
  EXPECT_EQ(error_of([] { clip_by_global_norm({}, 0); }), "clip_by_global_norm: max_norm is 0, it must be above 0");
  EXPECT_THROW(clip_by_global_norm({}, -1), Error);
  EXPECT_THROW(clip_by_global_norm({}, std::nan("")), Error);
}

}  // namespace
}  // namespace folio::optim
