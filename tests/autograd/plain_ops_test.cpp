// What finite differences do not see of the plain ops: far values, NaN, kinks, ties, masks and errors.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "autograd/autograd.hpp"
#include "tests/error_of.hpp"

namespace folio::testing {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr DType both[] = {DType::float32, DType::float64};

struct Unary {
  const char* name;
  std::function<Tensor(const Tensor&)> op;
  std::function<long double(long double)> value, slope;
  double low, high;  ///< where it is defined and worth comparing
};

long double sigma(long double x) { return 1 / (1 + std::exp(-x)); }
long double cdf(long double x) { return std::erfc(-x / std::sqrt(2.0L)) / 2; }
long double pdf(long double x) { return std::exp(-x * x / 2) / std::sqrt(2 * 3.14159265358979323846L); }

Unary raised(double p, double low, double high) {
  return {"power",
          [p](const Tensor& x) { return power(x, p); },
          [p](long double x) { return std::pow(x, p); },
          [p](long double x) { return p == 0 ? 0 : p * std::pow(x, p - 1); },
          low,
          high};
}

const std::vector<Unary>& unaries() {
  using L = long double;
  static const std::vector<Unary> all = {
      {"log", log, [](L x) { return std::log(x); }, [](L x) { return 1 / x; }, 1e-6, 1e4},
      {"sqrt", sqrt, [](L x) { return std::sqrt(x); }, [](L x) { return 0.5L / std::sqrt(x); }, 1e-6, 1e4},
      {"rsqrt", rsqrt, [](L x) { return 1 / std::sqrt(x); }, [](L x) { return -0.5L / (x * std::sqrt(x)); }, 1e-3, 1e4},
      {"tanh", tanh, [](L x) { return std::tanh(x); }, [](L x) { return 1 - std::tanh(x) * std::tanh(x); }, -1e4, 1e4},
      {"sigmoid", sigmoid, sigma, [](L x) { return sigma(x) * sigma(-x); }, -1e4, 1e4},
      {"relu", relu, [](L x) { return x > 0 ? x : 0; }, [](L x) { return x > 0 ? 1 : 0; }, -1e4, 1e4},
      {"gelu", gelu, [](L x) { return x * cdf(x); }, [](L x) { return cdf(x) + x * pdf(x); }, -1e4, 1e4},
      {"silu", silu, [](L x) { return x * sigma(x); }, [](L x) { return sigma(x) * (1 + x * sigma(-x)); }, -1e4, 1e4},
      {"softplus", softplus, [](L x) { return std::max<L>(x, 0) + std::log1p(std::exp(-std::abs(x))); }, sigma, -1e4,
       1e4},
      {"clamp", [](auto& x) { return clamp(x, -2, 3); }, [](L x) { return std::clamp<L>(x, -2, 3); },
       [](L x) { return x >= -2 && x <= 3; }, -1e4, 1e4},
      raised(-3, -50, -0.1),
      raised(-1, 1e-3, 1e4),
      raised(0, -1e4, 1e4),
      raised(1, -1e4, 1e4),
      raised(1.5, 1e-3, 1e4),
      raised(2, -1e4, 1e4),
      raised(3, -1e3, 1e3),
      raised(4, -1e3, 1e3),
      {"x + 3", [](const Tensor& x) { return x + 3; }, [](L x) { return x + 3; }, [](L) { return 1.0L; }, -1e4, 1e4},
      {"3 + x", [](const Tensor& x) { return 3 + x; }, [](L x) { return 3 + x; }, [](L) { return 1.0L; }, -1e4, 1e4},
      {"x - 3", [](const Tensor& x) { return x - 3; }, [](L x) { return x - 3; }, [](L) { return 1.0L; }, -1e4, 1e4},
      {"3 - x", [](const Tensor& x) { return 3 - x; }, [](L x) { return 3 - x; }, [](L) { return -1.0L; }, -1e4, 1e4},
      {"x * 3", [](const Tensor& x) { return x * 3; }, [](L x) { return x * 3; }, [](L) { return 3.0L; }, -1e4, 1e4},
      {"3 * x", [](const Tensor& x) { return 3 * x; }, [](L x) { return x * 3; }, [](L) { return 3.0L; }, -1e4, 1e4},
      {"x / 3", [](const Tensor& x) { return x / 3; }, [](L x) { return x / 3; }, [](L) { return 1 / 3.0L; }, -1e4,
       1e4},
      {"3 / x", [](const Tensor& x) { return 3 / x; }, [](L x) { return 3 / x; }, [](L x) { return -3 / (x * x); }, 0.1,
       1e4},
  };
  return all;
}

/// From one end to the other, in small steps near 0 and long ones far away, so that every formula's tails are met.
std::vector<double> spread(double low, double high) {
  std::vector<double> x;
  for (int i = 0; i <= 666; ++i) {
    const double t = 0.003 * i - 1;
    const double v = 1e4 * t * t * t;
    if (v >= low && v <= high) x.push_back(v);
  }
  x.push_back(low);
  x.push_back(high);
  return x;
}

Tensor leaf(const std::vector<double>& values, DType dtype) {
  Tensor x = from_vector(values, {static_cast<std::int64_t>(values.size())}, {dtype});
  x.requires_grad(true);
  return x;
}

}  // namespace

TEST(PlainOps, KeepTheirValueAndSlopeFarFromZeroInBothTypes) {
  for (const Unary& u : unaries()) {
    for (const DType dtype : both) {
      const double tolerance = dtype == DType::float32 ? 1e-6 : 1e-14;
      Tensor x = leaf(spread(u.low, u.high), dtype);
      Tape tape;
      const Tensor y = u.op(x);
      tape.backward(y, ones(y.shape(), y.options()));
      const auto at = x.to_vector(), value = y.to_vector(), slope = x.grad().to_vector();
      for (std::size_t i = 0; i < at.size(); ++i) {
        const double v = static_cast<double>(u.value(at[i])), s = static_cast<double>(u.slope(at[i]));
        const std::string where = std::string(u.name) + " at " + std::to_string(at[i]) + " in " + name_of(dtype);
        ASSERT_NEAR(value[i], v, tolerance * std::max(1.0, std::abs(v))) << where;
        ASSERT_NEAR(slope[i], s, 4 * tolerance * std::max(1.0, std::abs(s))) << "slope of " << where;
      }
    }
  }
}

TEST(PlainOps, GiveNaNForNaNWhereverItStands) {
  for (const Unary& u : unaries()) {
    for (const DType dtype : both) {
      for (const std::int64_t n : {1, 3, 16, 37}) {
        for (std::int64_t at = 0; at < n; ++at) {
          std::vector<double> values(static_cast<std::size_t>(n), 1.0);
          values[static_cast<std::size_t>(at)] = nan;
          const auto y = u.op(from_vector(values, {n}, {dtype})).to_vector();
          for (std::int64_t i = 0; i < n; ++i) EXPECT_EQ(std::isnan(y[static_cast<std::size_t>(i)]), i == at) << u.name;
        }
      }
    }
  }
}

TEST(PlainOps, TakeTheLimitAtInfinity) {
  for (const DType dtype : both) {
    const Tensor x = from_vector(std::vector<double>(32, infinity), {32}, {dtype}), low = negate(x);
    EXPECT_EQ(sqrt(x).to_vector()[7], infinity);
    EXPECT_EQ(rsqrt(x).to_vector()[7], 0);
    EXPECT_EQ(log(x).to_vector()[7], infinity);
    EXPECT_EQ(sigmoid(x).to_vector()[7], 1);
    EXPECT_EQ(sigmoid(low).to_vector()[7], 0);
    EXPECT_EQ(tanh(low).to_vector()[7], -1);
    EXPECT_EQ(relu(x).to_vector()[7], infinity);
    EXPECT_EQ(softplus(x).to_vector()[7], infinity);
  }
}

TEST(PlainOps, HaveTheStatedSlopeAtAKink) {
  Tensor x = leaf({0, -2, 3}, DType::float64);
  Tape tape;
  tape.backward(sum(relu(x)));
  EXPECT_EQ(x.grad().to_vector(), (std::vector<double>{0, 0, 1}));
  x.zero_grad();
  Tape second;
  second.backward(sum(clamp(x, -2, 3)));
  EXPECT_EQ(x.grad().to_vector(), (std::vector<double>{1, 1, 1}));
  EXPECT_THROW(clamp(x, 1, 0), Error);
  EXPECT_THROW(clamp(x, nan, 0), Error);
}

TEST(PlainOps, RaiseZeroAndNegativeNumbersToWholePowers) {
  Tensor x = leaf({0, -2}, DType::float64);
  for (const double p : {0.0, 1.0, 2.0, 3.0, 4.0}) {
    x.zero_grad();
    Tape tape;
    const Tensor y = power(x, p);
    tape.backward(sum(y));
    EXPECT_EQ(y.to_vector(), (std::vector<double>{p == 0 ? 1.0 : 0.0, std::pow(-2, p)})) << p;
    EXPECT_EQ(x.grad().to_vector(), (std::vector<double>{p == 1 ? 1.0 : 0.0, p * std::pow(-2, p - 1)})) << p;
  }
}

TEST(Where, PassesNaNOfTheChosenSideOnlyAndReadsAnyIndexType) {
  const Tensor a = tensor({1, nan}), b = tensor({nan, 2});
  EXPECT_EQ(where(from_indices(std::vector<std::int32_t>{5, 0}, {2}), a, b).to_vector(), (std::vector<double>{1, 2}));
  EXPECT_TRUE(std::isnan(where(arange(2), a, b).to_vector()[0]));
  EXPECT_THROW(where(a, a, b), Error);
}

/// dx of x → f(x), with dy.
Tensor slope(const std::function<Tensor(const Tensor&)>& f, Tensor x, const Tensor& dy) {
  x.requires_grad(true);
  Tape tape;
  tape.backward(f(x), dy);
  return x.grad();
}

TEST(CrossEntropy, HasTheSlopeOfWhatIsLeftOfLogitsThatAreAllFarFromZero) {
  const std::vector<float> near = {0, 64, 32, 0}, far = {1e8F, 1e8F + 64, 1e8F + 32, 1e8F};
  const Tensor target = from_indices(std::vector<std::int32_t>{2}, {1});
  const auto of = [&](const std::vector<float>& logits) {
    return slope([&](const Tensor& x) { return cross_entropy(x, target, {.label_smoothing = 0.1}); },
                 from_vector(std::span(logits), {1, 4}), full({}, 1));
  };
  EXPECT_EQ(of(far).to_vector(), of(near).to_vector());
}

TEST(RmsNorm, HasItsSlopeWhereTheCubeOfItsScaleIsNoFloat) {
  for (const float size : {1e16F, 1e-16F}) {
    const std::vector<float> x = {size, 0, 0, 0}, dy = {1, 1, 0, 0};
    const auto dx = slope([](const Tensor& rows) { return rms_norm(rows, ones({4}), 0); },
                          from_vector(std::span(x), {1, 4}), from_vector(std::span(dy), {1, 4}))
                        .to_vector();
    const double scale = 2 / static_cast<double>(size);
    EXPECT_NEAR(dx[0], 0, 1e-6 * scale);
    EXPECT_NEAR(dx[1], scale, 1e-6 * scale);
  }
}

TEST(Dropout, DrawsAMaskThatDependsOnTheStreamAndTheIndexAlone) {
  const RandomStream stream = {7, 3};
  const Tensor x = ones({100, 30}), y = dropout(x, 0.3, stream);
  EXPECT_EQ(dropout(x, 0.3, stream).to_vector(), y.to_vector());
  EXPECT_EQ(dropout(ones({30, 100}).transpose(0, 1), 0.3, stream).to_vector(), y.to_vector());
  EXPECT_NE(dropout(x, 0.3, RandomStream{7, 4}).to_vector(), y.to_vector());
  const auto all = y.to_vector(), first = dropout(ones({7, 30}), 0.3, stream).to_vector();
  EXPECT_TRUE(std::equal(first.begin(), first.end(), all.begin()));
  for (std::size_t i = 0; i < all.size(); ++i) {
    const bool kept = stream.bits(static_cast<std::int64_t>(i)) >= 0.3 * 0x1p32;
    EXPECT_EQ(all[i] != 0, kept) << i;
  }
}

TEST(Dropout, DropsTheShareAskedForAndKeepsTheMean) {
  for (const double p : {0.1, 0.5, 0.9}) {
    const std::int64_t n = 200'000;
    const Tensor y = dropout(ones({n}, {DType::float64}), p, {11, 0});
    double dropped = 0;
    for (double v : y.to_vector()) {
      dropped += v == 0;
      ASSERT_TRUE(v == 0 || std::abs(v * (1 - p) - 1) < 1e-15) << v;
    }
    EXPECT_NEAR(dropped / n, p, 5 * std::sqrt(p * (1 - p) / n));
  }
}

TEST(Dropout, IsTheIdentityAtZeroAndRefusesOne) {
  const Tensor x = ones({3});
  EXPECT_TRUE(dropout(x, 0, {1, 1}).is(x));
  for (const double p : {1.0, -0.1, 1.5, nan}) EXPECT_THROW(dropout(x, p, {1, 1}), Error) << p;
}

/// One after another, a million times 0.1 in float32 is off by 1 %.
TEST(Sum, KeepsTheDigitsOfManyEqualNumbersAlongEachDimension) {
  constexpr std::int64_t n = 1'000'003;
  const double truth = static_cast<double>(0.1F) * n;
  const Tensor row = full({1, n}, 0.1), columns = full({n, 3}, 0.1);
  EXPECT_NEAR(sum(row, {1}).item(), truth, 1e-6 * truth);
  for (const double column : sum(columns, {0}).to_vector()) EXPECT_NEAR(column, truth, 1e-6 * truth);
}

TEST(Mean, TakesZeroExtentsThatItDoesNotReduce) {
  EXPECT_EQ(mean(ones({0, 3}), {1}).shape(), Shape({0}));
  EXPECT_THROW(mean(ones({0, 3}), {0}), Error);
  EXPECT_THROW(mean(ones({0, 3})), Error);
  EXPECT_EQ(mean(ones({})).item(), 1);
}

TEST(Max, GivesTiesToTheLowestIndexAndNaNPrecedence) {
  const Tensor x = tensor({nan, 0, 0, 1, 3, 3, 1, 2, 2, 5, nan, nan}).reshape({4, 3});
  const auto [high, high_at] = max(x, 1);
  EXPECT_EQ(high_at.to_vector(), (std::vector<double>{0, 1, 1, 1}));
  EXPECT_EQ(high.to_vector()[1], 3);
  EXPECT_TRUE(std::isnan(high.to_vector()[0]));
  EXPECT_TRUE(std::isnan(high.to_vector()[3]));
  const auto [low, low_at] = min(x, 1);
  EXPECT_EQ(low_at.to_vector(), (std::vector<double>{0, 0, 0, 1}));
  EXPECT_EQ(low.to_vector()[1], 1);
  const auto [down, down_at] = max(x, 0, true);
  EXPECT_EQ(down.shape(), Shape({1, 3}));
  EXPECT_EQ(down_at.to_vector(), (std::vector<double>{0, 3, 3}));
  EXPECT_EQ(max(full({5}, -infinity), 0).second.item(), 0);
}

TEST(Max, NeedsAnElementAlongItsDimensionOnly) {
  EXPECT_EQ(max(ones({0, 3}), 1).first.shape(), Shape({0}));
  EXPECT_THROW(max(ones({0, 3}), 0), Error);
  EXPECT_THROW(max(ones({2, 3}), 2), Error);
}

TEST(TopK, PutsTheLargestFirstTiesToTheLowestIndexAndNaNAboveAll) {
  const auto [values, indices] = top_k(tensor({2, 5, 2, 5, 7, 1, nan, 3, nan, infinity}).reshape({2, 5}), 4);
  EXPECT_EQ(indices.to_vector(), (std::vector<double>{4, 1, 3, 0, 1, 3, 4, 2}));
  EXPECT_EQ(values.to_vector()[1], 5);
  EXPECT_TRUE(std::isnan(values.to_vector()[4]));
  EXPECT_EQ(values.to_vector()[6], infinity);
  EXPECT_EQ(indices.dtype(), DType::int32);
  EXPECT_EQ(top_k(ones({2, 5}), 0).first.shape(), Shape({2, 0}));
}

TEST(TopK, NamesBothNumbersWhereKIsTooLarge) {
  try {
    top_k(ones({2, 5}), 6);
    ADD_FAILURE() << "took 6 of 5";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("k = 6 of float32 (2, 5)"), std::string::npos) << error.what();
  }
  EXPECT_THROW(top_k(ones({2, 5}), -1), Error);
  EXPECT_THROW(top_k(ones({}), 1), Error);
}

TEST(ChooseExperts, SaysWhatDoesNotFit) {
  const Tensor logits = ones({3, 6});
  const auto tells = [&](const Tensor& bias, const GateOptions& o, const std::string& what) {
    return error_of([&] { choose_experts(logits, bias, o); }).find("choose_experts: " + what) != std::string::npos;
  };
  EXPECT_TRUE(tells(zeros({5}), {}, "logits float32 (3, 6) and a bias float32 (5) do not fit"));
  EXPECT_TRUE(tells(zeros({6}, {DType::float64}), {}, "logits float32 (3, 6) and a bias float64 (6) do not fit"));
  for (const GateOptions& o :
       {GateOptions{.k = 0}, GateOptions{.k = 7}, GateOptions{.n_group = 4}, GateOptions{.n_group = 2, .topk_group = 3},
        GateOptions{.n_group = 0, .topk_group = 0}, GateOptions{.k = 3, .n_group = 3}}) {
    EXPECT_TRUE(tells(zeros({6}), o, "cannot choose " + std::to_string(o.k) + " of 6 experts"));
  }
  EXPECT_EQ(choose_experts(ones({0, 6}), zeros({6}), {.k = 2}).weights.shape(), Shape({0, 2}));
}

}  // namespace folio::testing
