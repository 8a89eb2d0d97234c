// Each optimizer against its formula, one number at a time in float64.
#include <gtest/gtest.h>

#include <cmath>

#include "optim/adamw.hpp"
#include "optim/sgd.hpp"
#include "tests/optim/support.hpp"

namespace folio::optim {
namespace {

/// Algorithm 2 of Loshchilov and Hutter 2019, with the decay apart from the gradient.
struct PlainAdamW {
  double m = 0, v = 0;
  double step(double p, double g, int t, double lr, const AdamWOptions& o, bool decays) {
    m = o.beta1 * m + (1 - o.beta1) * g;
    v = o.beta2 * v + (1 - o.beta2) * g * g;
    const double m_hat = m / (1 - std::pow(o.beta1, t)), v_hat = v / (1 - std::pow(o.beta2, t));
    return p - lr * m_hat / (std::sqrt(v_hat) + o.eps) - (decays ? lr * o.weight_decay * p : 0);
  }
};

struct PlainSGD {
  double u = 0;
  double step(double p, double g, int, double lr, const SGDOptions& o, bool decays) {
    u = o.momentum * u + g;
    return p - lr * (o.nesterov ? g + o.momentum * u : u) - (decays ? lr * o.weight_decay * p : 0);
  }
};

/// The greatest distance between an optimizer and its plain form in four steps with a gradient factor and a learning rate
/// that change.
template <class Kind, class Plain, class Options>
double distance(DType dtype, const Options& options) {
  Parameters parameters = some_parameters(dtype);
  auto expected = values_of(parameters);
  std::vector<std::vector<Plain>> plain;
  for (const auto& values : expected) plain.emplace_back(values.size());
  Kind optimizer(parameters, options);
  double worst = 0;
  for (int t = 1; t <= 4; ++t) {
    const double lr = options.lr / t, factor = 1.0 / (1 + t);
    optimizer.set_lr(lr);
    set_gradients(parameters, static_cast<std::uint64_t>(t));
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      const auto g = parameters[i].value.grad().to_vector();
      for (std::size_t j = 0; j < g.size(); ++j) {
        expected[i][j] = plain[i][j].step(expected[i][j], factor * g[j], t, lr, options, parameters[i].decays);
      }
    }
    optimizer.step(factor);
    const auto actual = values_of(parameters);
    for (std::size_t i = 0; i < actual.size(); ++i) {
      for (std::size_t j = 0; j < actual[i].size(); ++j)
        worst = std::max(worst, std::abs(actual[i][j] - expected[i][j]));
    }
  }
  return worst;
}

TEST(AdamW, IsItsFormulaWithTheDecayApart) {
  const AdamWOptions options = {.lr = 0.1, .beta1 = 0.8, .beta2 = 0.9, .eps = 1e-3, .weight_decay = 0.5};
  EXPECT_LT((distance<AdamW, PlainAdamW>(DType::float64, options)), 1e-13);
  EXPECT_LT((distance<AdamW, PlainAdamW>(DType::float32, options)), 3e-6);
  EXPECT_LT((distance<AdamW, PlainAdamW>(DType::float64, AdamWOptions{.lr = 0.1, .weight_decay = 0})), 1e-13);
}

TEST(AdamW, DecaysWeightsAndNothingElseWhereTheGradientIsZero) {
  Parameters parameters = {parameter("weight", full({4}, 2.0)), parameter("norm", full({4}, 2.0), false)};
  AdamW adam(parameters, {.lr = 0.1, .weight_decay = 0.5});
  for (Parameter& p : parameters) p.value.set_grad(zeros({4}));
  adam.step();
  for (double p : parameters[0].value.to_vector()) EXPECT_NEAR(p, 2 * (1 - 0.1 * 0.5), 1e-6);
  for (double p : parameters[1].value.to_vector()) EXPECT_EQ(p, 2);
}

TEST(AdamW, MovesByTheLearningRateInItsFirstStepWhateverTheScale) {
  Parameters parameters = {parameter("p", tensor({1, 1, 1}, {DType::float64}))};
  AdamW adam(parameters, {.lr = 0.01, .weight_decay = 0});
  parameters[0].value.set_grad(tensor({1e-3, -5, 1e4}, {DType::float64}));
  adam.step();
  const std::vector<double> p = parameters[0].value.to_vector(), expected = {0.99, 1.01, 0.99};
  for (std::size_t i = 0; i < 3; ++i) EXPECT_NEAR(p[i], expected[i], 1e-6);
}

TEST(SGD, IsItsFormulaWithMomentumAndNesterov) {
  for (const SGDOptions& options :
       std::vector<SGDOptions>{{.lr = 0.1},
                               {.lr = 0.1, .momentum = 0.9},
                               {.lr = 0.1, .momentum = 0.9, .weight_decay = 0.2},
                               {.lr = 0.1, .momentum = 0.9, .nesterov = true, .weight_decay = 0.2}}) {
    EXPECT_LT((distance<SGD, PlainSGD>(DType::float64, options)), 1e-13);
    EXPECT_LT((distance<SGD, PlainSGD>(DType::float32, options)), 5e-6);
  }
}

template <class Kind, class Options>
double error_on_a_quadratic(const Options& options) {
  Parameters parameters = {parameter("x", zeros({2}, {DType::float64}))};
  const Tensor target = tensor({3, -2}, {DType::float64});
  Kind optimizer(parameters, options);
  for (int i = 0; i < 400; ++i) {
    Tape tape;
    const Tensor e = parameters[0].value - target;
    tape.backward(sum(e * e));
    optimizer.step();
  }
  const Tensor e = parameters[0].value.detach() - target;
  return sum(e * e).item();
}

TEST(Optimizers, ReachTheMinimumOfAQuadratic) {
  EXPECT_LT((error_on_a_quadratic<AdamW>(AdamWOptions{.lr = 0.05, .weight_decay = 0})), 1e-6);
  EXPECT_LT((error_on_a_quadratic<SGD>(SGDOptions{.lr = 0.02, .momentum = 0.9})), 1e-6);
}

TEST(Accumulation, OfMicroBatchesEqualsTheWholeBatch) {
  Generator generator(7);
  const Tensor x = randn({12, 4}, generator, {DType::float64});
  Parameter weight = parameter("w", randn({4}, generator, {DType::float64}));
  const auto backward = [&](std::int64_t begin, std::int64_t end, double share) {
    Tape tape;
    const Tensor loss = mean(tanh(sum(x.slice(0, begin, end) * weight.value, {1})));
    tape.backward(loss, full({}, share, loss.options()));
  };
  backward(0, 12, 1);
  const auto whole = weight.value.grad().to_vector();
  weight.value.zero_grad();
  for (std::int64_t i = 0; i < 3; ++i) backward(4 * i, 4 * i + 4, 1.0 / 3);
  const auto parts = weight.value.grad().to_vector();
  for (std::size_t i = 0; i < whole.size(); ++i) EXPECT_NEAR(parts[i], whole[i], 1e-14);
}

}  // namespace
}  // namespace folio::optim
