#include <gtest/gtest.h>

#include <cmath>

#include "autograd/autograd.hpp"
#include "optim/adamw.hpp"
#include "optim/clip.hpp"
#include "optim/schedule.hpp"
#include "optim/sgd.hpp"

namespace folio::optim {
namespace {

constexpr Options f64 = {DType::float64};

Parameter parameter(const Tensor& value, bool decays = true) {
  Parameter p{"w", value.clone(), decays};
  p.value.requires_grad(true);
  return p;
}

TEST(AdamW, FollowsItsFormulaForThreeSteps) {
  for (const bool decays : {true, false}) {
    Generator random(3);
    const Tensor start = randn({5}, random, f64);
    const Parameter p = parameter(start, decays);
    AdamW adam({p}, {.lr = 0.1, .beta1 = 0.8, .beta2 = 0.9, .eps = 1e-3, .weight_decay = 0.5});
    std::vector<double> w = start.to_vector(), m(5), v(5);
    for (int t = 1; t <= 3; ++t) {
      const Tensor gradient = randn({5}, random, f64);
      Parameter(p).value.set_grad(gradient);
      adam.step(0.25);
      for (std::size_t i = 0; i < 5; ++i) {
        const double g = 0.25 * gradient.to_vector()[i];
        m[i] = 0.8 * m[i] + 0.2 * g;
        v[i] = 0.9 * v[i] + 0.1 * g * g;
        const double m_hat = m[i] / (1 - std::pow(0.8, t)), v_hat = v[i] / (1 - std::pow(0.9, t));
        w[i] -= 0.1 * ((decays ? 0.5 : 0) * w[i] + m_hat / (std::sqrt(v_hat) + 1e-3));
        EXPECT_NEAR(p.value.to_vector()[i], w[i], 1e-13);
      }
      EXPECT_FALSE(p.value.grad().defined()) << "the step consumes the gradient";
    }
    EXPECT_EQ(adam.steps(), 3);
    EXPECT_EQ(adam.state().front().first, "w.m");
  }
}

TEST(SGD, FollowsItsFormulaWithMomentumAndNesterov) {
  for (const bool nesterov : {false, true}) {
    const Parameter p = parameter(tensor({1}, f64));
    SGD sgd({p}, {.lr = 0.1, .momentum = 0.9, .nesterov = nesterov, .weight_decay = 0.2});
    double w = 1, u = 0;
    for (const double g : {1.0, -0.5, 2.0}) {
      Parameter(p).value.set_grad(tensor({g}, f64));
      sgd.step();
      u = 0.9 * u + g;
      w -= 0.1 * (0.2 * w + (nesterov ? g + 0.9 * u : u));
      EXPECT_NEAR(p.value.item(), w, 1e-14);
    }
  }
}

TEST(Optimizers, ReachTheMinimumOfAQuadratic) {
  const auto distance = [](auto& optimizer, const Parameter& p) {
    const Tensor target = tensor({3, -2}, f64);
    for (int i = 0; i < 400; ++i) {
      Tape tape;
      const Tensor e = p.value - target;
      tape.backward(sum(e * e));
      optimizer.step();
    }
    const Tensor e = p.value.detach() - target;
    return sum(e * e).item();
  };
  const Parameter a = parameter(zeros({2}, f64)), b = parameter(zeros({2}, f64));
  AdamW adam({a}, {.lr = 0.05, .weight_decay = 0});
  SGD sgd({b}, {.lr = 0.02, .momentum = 0.9});
  EXPECT_LT(distance(adam, a), 1e-6);
  EXPECT_LT(distance(sgd, b), 1e-6);
}

TEST(Clipping, BringsTheGlobalNormToTheLimitAndLeavesSmallOnesAlone) {
  const Parameter a = parameter(zeros({40000}, f64)), b = parameter(zeros({3, 7}));
  Generator random(5);
  const Tensor ga = randn({40000}, random, f64), gb = randn({3, 7}, random);
  Parameter(a).value.set_grad(ga);
  Parameter(b).value.set_grad(gb);
  double squares = 0;
  for (double g : ga.to_vector()) squares += g * g;
  for (double g : gb.to_vector()) squares += g * g;
  const Clipped clipped = clip_by_global_norm({a, b}, 1.5);
  EXPECT_NEAR(clipped.norm, std::sqrt(squares), 1e-9 * clipped.norm);
  EXPECT_NEAR(clipped.norm * clipped.factor, 1.5, 1e-12);
  EXPECT_EQ(clip_by_global_norm({a, b}, 1e6).factor, 1);
}

TEST(Schedule, WarmsUpThenFallsAlongACosineToItsFloor) {
  const auto s = Schedule::cosine(2.0, 10, 111, 0.1);
  EXPECT_DOUBLE_EQ(s(0), 0.2);
  EXPECT_DOUBLE_EQ(s(9), 2.0);
  EXPECT_DOUBLE_EQ(s(10), 2.0);
  EXPECT_NEAR(s(60), 1.1, 1e-12);  // half-way: the mean of peak and floor
  EXPECT_NEAR(s(110), 0.2, 1e-12);
  EXPECT_NEAR(s(500), 0.2, 1e-12);
  EXPECT_DOUBLE_EQ(Schedule::constant(2.0, 4)(3), 2.0);
  EXPECT_DOUBLE_EQ(Schedule::constant(2.0)(1000), 2.0);
}

}  // namespace
}  // namespace folio::optim
