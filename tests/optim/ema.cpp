#include "optim/ema.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/optim/support.hpp"

namespace folio::optim {
namespace {

void set_values(Parameters& parameters, std::uint64_t seed) {
  Generator generator(500 + seed);
  for (Parameter& p : parameters) p.value.copy_from(randn(p.value.shape(), generator));
}

std::vector<std::vector<double>> averages_of(const EMA& ema) {
  std::vector<std::vector<double>> all;
  for (const auto& [name, value] : ema.state()) all.push_back(value.to_vector());
  return all;
}

/// Σ over all values so far, each with the share that the closed form gives it: (1 − d_t)·Π of the later d.
TEST(EMA, IsTheSumOfAllValuesWithSharesThatAddUpToOne) {
  for (const double decay : {0.0, 0.5, 0.99}) {
    Parameters parameters = some_parameters(DType::float64);
    std::vector<std::vector<std::vector<double>>> values = {values_of(parameters)};
    EMA ema(parameters, decay);
    constexpr int updates = 30;
    for (std::uint64_t t = 0; t < updates; ++t) {
      set_values(parameters, t);
      values.push_back(values_of(parameters));
      ema.update();
    }
    std::vector<double> shares = {1};
    for (int t = 0; t < updates; ++t) {
      const double d = std::min(decay, (1.0 + t) / (10.0 + t));
      for (double& share : shares) share *= d;
      shares.push_back(1 - d);
    }
    const auto averages = averages_of(ema);
    for (std::size_t i = 0; i < averages.size(); ++i) {
      for (std::size_t j = 0; j < averages[i].size(); j += 97) {
        double expected = 0;
        for (std::size_t t = 0; t < shares.size(); ++t) expected += shares[t] * values[t][i][j];
        EXPECT_NEAR(averages[i][j], expected, 1e-13) << "decay " << decay;
      }
    }
  }
}

TEST(EMA, StandsInTheParametersPlaceForAWhile) {
  Parameters parameters = some_parameters();
  EMA ema(parameters, 0.9);
  set_values(parameters, 1);
  ema.update();
  const auto values = values_of(parameters), averages = averages_of(ema);
  EXPECT_NE(values, averages);
  {
    const Averaged now(ema);
    EXPECT_EQ(values_of(parameters), averages);
    EXPECT_NE(error_of([&] { ema.update(); }).find("call swap() first"), std::string::npos);
  }
  EXPECT_EQ(values_of(parameters), values);
  EXPECT_EQ(averages_of(ema), averages);
}

TEST(EMA, GivesTheSameBitsForAnyNumberOfThreads) {
  std::vector<std::vector<double>> one;
  for (const int n : {1, 2, 3, 8}) {
    const Threads threads(n);
    Parameters parameters = some_parameters();
    EMA ema(parameters, 0.9);
    for (std::uint64_t t = 0; t < 3; ++t) {
      set_values(parameters, t);
      ema.update();
    }
    if (n == 1) one = averages_of(ema);
    EXPECT_EQ(averages_of(ema), one) << n << " threads";
  }
}

TEST(EMA, GoesOnFromASavedStateBitForBit) {
  Parameters parameters = some_parameters();
  EMA whole(parameters, 0.99);
  const auto go_on = [&](EMA& ema, std::uint64_t from, std::uint64_t to) {
    for (std::uint64_t t = from; t < to; ++t) {
      set_values(parameters, t);
      ema.update();
    }
  };
  go_on(whole, 0, 3);
  std::map<std::string, Tensor> saved;
  for (const auto& [name, value] : whole.state()) saved[name] = value.clone();
  EMA resumed(parameters, 0.99);
  resumed.load_state(saved);
  resumed.set_updates(whole.updates());
  go_on(whole, 3, 6);
  go_on(resumed, 3, 6);
  EXPECT_EQ(averages_of(resumed), averages_of(whole));
  EXPECT_EQ(resumed.updates(), 6);

  saved.erase("norm.ema");
  EXPECT_EQ(error_of([&] { resumed.load_state(saved); }), "ema: the state to load lacks 'norm.ema'");
}

TEST(EMA, RefusesParametersThatAreNotApart) {
  Parameters twice = some_parameters();
  twice.push_back({"again", twice[0].value});
  EXPECT_NE(error_of([&] { EMA refused(twice, 0.9); }).find("ema: parameters '"), std::string::npos);
  const Parameters halves = {{"w", ones({2}).to(DType::bfloat16)}};
  EXPECT_NE(error_of([&] { EMA refused(halves, 0.9); }).find("ema: parameter 'w' is "), std::string::npos);
}

TEST(EMA, RefusesImpossibleDecays) {
  const Parameters p = some_parameters();
  EXPECT_EQ(error_of([&] { EMA refused(p, 1); }), "ema: decay is 1, it must be in [0, 1)");
  for (const double bad : {-0.1, std::nan("")}) EXPECT_NE(error_of([&] { EMA refused(p, bad); }), "");
}

}  // namespace
}  // namespace folio::optim
