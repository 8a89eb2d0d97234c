// What holds for every optimizer.
#include "optim/optimizer.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <memory>

#include "optim/adamw.hpp"
#include "optim/clip.hpp"
#include "optim/muon.hpp"
#include "optim/sgd.hpp"
#include "tests/optim/support.hpp"

namespace folio::optim {
namespace {

/// The same, with rows of matrices where there are some.
Parameters as_matrices(Parameters parameters) {
  for (Parameter& p : parameters) {
    if (p.value.rank() >= 2) p.matrix_rows = p.value.dim(-2);
  }
  return parameters;
}

using Made = std::unique_ptr<Optimizer>;
const std::vector<std::function<Made(const Parameters&)>> kinds = {
    [](const Parameters& p) -> Made { return std::make_unique<AdamW>(p, AdamWOptions{.lr = 0.03}); },
    [](const Parameters& p) -> Made { return std::make_unique<SGD>(p); },
    [](const Parameters& p) -> Made {
      return std::make_unique<SGD>(p, SGDOptions{.momentum = 0.9, .nesterov = true, .weight_decay = 0.1});
    },
    [](const Parameters& p) -> Made { return std::make_unique<Muon>(as_matrices(p), MuonOptions{.lr = 0.03}); }};

/// Steps `from` … `to` − 1 with gradients of their own, clipped.
void take_steps(Optimizer& optimizer, Parameters& parameters, std::uint64_t from, std::uint64_t to) {
  for (std::uint64_t t = from; t < to; ++t) {
    set_gradients(parameters, t);
    optimizer.step(clip_by_global_norm(parameters, 30));
  }
}

TEST(Optimizer, GivesTheSameBitsForAnyNumberOfThreads) {
  for (const auto& make : kinds) {
    for (const DType dtype : {DType::float32, DType::float64}) {
      std::vector<std::vector<double>> one;
      for (const int n : {1, 2, 3, 8}) {
        const Threads threads(n);
        Parameters parameters = some_parameters(dtype);
        take_steps(*make(parameters), parameters, 0, 3);
        if (n == 1) one = values_of(parameters);
        EXPECT_EQ(values_of(parameters), one) << n << " threads";
      }
    }
  }
}

TEST(Optimizer, GoesOnFromASavedStateBitForBit) {
  for (const auto& make : kinds) {
    Parameters parameters = some_parameters();
    const Made whole = make(parameters);
    take_steps(*whole, parameters, 0, 2);

    Parameters copies;
    for (const Parameter& p : parameters) copies.push_back(parameter(p.name, p.value, p.decays));
    std::map<std::string, Tensor> saved;
    for (const auto& [name, value] : whole->state()) saved[name] = value.clone();
    const Made resumed = make(copies);
    resumed->load_state(saved);
    resumed->set_steps(whole->steps());

    take_steps(*whole, parameters, 2, 4);
    take_steps(*resumed, copies, 2, 4);
    EXPECT_EQ(values_of(copies), values_of(parameters));
    EXPECT_EQ(resumed->steps(), 4);
  }
}

TEST(Optimizer, RefusesAStateThatDoesNotFitAndKeepsItsOwn) {
  Parameters parameters = some_parameters();
  AdamW adam(parameters);
  take_steps(adam, parameters, 0, 1);
  std::map<std::string, Tensor> other;
  for (const auto& [name, value] : adam.state()) other[name] = ones(value.shape());
  ASSERT_EQ(other.size(), 6U);
  const auto before = adam.state().front().second.to_vector();
  auto missing = other, extra = other, misshapen = other, undefined = other, integers = other;
  missing.erase("norm.v");
  extra["nobody.v"] = ones({1});
  misshapen["long.m"] = ones({7, 3});
  undefined["long.m"] = Tensor();
  integers["long.m"] = other["long.m"].to(DType::int64);
  EXPECT_NE(error_of([&] { adam.load_state(missing); }).find("lacks 'norm.v'"), std::string::npos);
  EXPECT_NE(error_of([&] { adam.load_state(extra); }).find("unknown 'nobody.v'"), std::string::npos);
  EXPECT_NE(error_of([&] { adam.load_state(misshapen); }).find("'long.m' is"), std::string::npos);
  EXPECT_NE(error_of([&] { adam.load_state(undefined); }).find("nothing"), std::string::npos);
  EXPECT_NE(error_of([&] { adam.load_state(integers); }).find("has int64"), std::string::npos);
  EXPECT_EQ(adam.state().front().second.to_vector(), before);
  adam.load_state(other);
  EXPECT_EQ(adam.state().front().second.to_vector(), std::vector<double>(21, 1.0));
}

TEST(Optimizer, TakesGradientsOfAnyLayout) {
  Generator generator(6);
  const Tensor turned = randn({7, 3}, generator).transpose(0, 1);               // (3, 7)
  const Tensor repeated = randn({1, 7}, generator).expand({3, 7});              // (3, 7)
  const Tensor inner = randn({5, 9}, generator).slice(0, 1, 4).slice(1, 1, 8);  // (3, 7)
  const Tensor shifted = randn({4, 7}, generator).slice(0, 1, 4);               // (3, 7), packed but not at the start
  for (const auto& make : kinds) {
    for (const Tensor& gradient : {turned, repeated, inner, shifted}) {
      Parameters strange = {parameter("w", ones({3, 7}))}, packed = {parameter("w", ones({3, 7}))};
      strange[0].value.set_grad(gradient);
      packed[0].value.set_grad(gradient.clone());
      const Clipped a = clip_by_global_norm(strange, 0.5), b = clip_by_global_norm(packed, 0.5);
      EXPECT_NEAR(a.norm(), b.norm(), 1e-12 * b.norm());
      make(strange)->step(b);
      make(packed)->step(b);
      EXPECT_EQ(values_of(strange), values_of(packed)) << to_string(gradient.strides());
    }
  }
}

TEST(Optimizer, ConsumesGradientsAndLeavesParametersWithoutOneAlone) {
  for (const auto& make : kinds) {
    Parameters parameters = some_parameters();
    const Made optimizer = make(parameters);
    set_gradients(parameters, 0);
    parameters[0].value.zero_grad();
    const auto before = values_of(parameters);
    optimizer->step();
    const auto after = values_of(parameters);
    EXPECT_EQ(after[0], before[0]);
    EXPECT_NE(after[1], before[1]);
    EXPECT_NE(after[2], before[2]);
    for (const Parameter& p : parameters) EXPECT_FALSE(p.value.grad().defined());
  }
}

TEST(Optimizer, MakesATapeThatSavedAParameterStale) {
  Parameters parameters = {parameter("x", ones({3}))};
  SGD sgd(parameters);
  Tape tape;
  const Tensor loss = sum(parameters[0].value * parameters[0].value);
  parameters[0].value.set_grad(ones({3}));
  sgd.step();
  EXPECT_THROW(tape.backward(loss), Error);
}

TEST(Optimizer, RefusesParametersThatItCannotTrain) {
  const Parameter good = parameter("p", ones({2, 3}));
  Tensor view = ones({2, 3}).transpose(0, 1);
  view.requires_grad(true);
  const auto refusal = [](const Parameters& parameters) { return error_of([&] { SGD sgd(parameters); }); };
  EXPECT_EQ(refusal({good}), "");
  EXPECT_EQ(refusal({good, good}), "optimizer: two parameters are called 'p'");
  EXPECT_EQ(refusal({good, {"q", good.value}}), "optimizer: parameters 'p' and 'q' share their memory; give it once");
  EXPECT_NE(refusal({good, {"none", Tensor()}}).find("'none' must be a packed float leaf"), std::string::npos);
  EXPECT_NE(refusal({{"fixed", ones({2})}}).find("'fixed'"), std::string::npos);
  EXPECT_NE(refusal({{"index", arange(3)}}).find("'index'"), std::string::npos);
  EXPECT_NE(refusal({{"view", view}}).find("'view'"), std::string::npos);
  const Tape tape;
  EXPECT_NE(refusal({{"result", good.value * good.value}}).find("'result'"), std::string::npos);
  EXPECT_NE(refusal({}).find("no parameters"), std::string::npos);
}

TEST(Optimizer, RefusesAStepThatWouldWriteNonsense) {
  for (const auto& make : kinds) {
    for (const double factor : {std::nan(""), std::numeric_limits<double>::infinity()}) {
      Parameters parameters = some_parameters();
      const Made optimizer = make(parameters);
      set_gradients(parameters, 1);
      const auto before = values_of(parameters);
      EXPECT_NE(error_of([&] { optimizer->step(factor); }).find("the gradient factor is"), std::string::npos);
      EXPECT_EQ(values_of(parameters), before);
      EXPECT_EQ(optimizer->steps(), 0);
    }
    const Parameters parameters = some_parameters();
    const Made optimizer = make(parameters);
    EXPECT_THROW(optimizer->set_lr(-1e-9), Error);
    EXPECT_THROW(optimizer->set_lr(std::nan("")), Error);
    EXPECT_THROW(optimizer->set_steps(-1), Error);
    EXPECT_NO_THROW(optimizer->set_lr(0));
  }
}

TEST(Optimizer, RefusesAStepThatBackwardDidNotPrepare) {
  for (const auto& make : kinds) {
    Parameters parameters = some_parameters();
    const Made optimizer = make(parameters);
    EXPECT_NE(error_of([&] { optimizer->step(); }).find("none of the 3 parameters"), std::string::npos);
    EXPECT_EQ(optimizer->steps(), 0);
  }
}

TEST(Optimizer, RefusesImpossibleOptions) {
  const Parameters p = some_parameters();
  const auto adam = [&](const AdamWOptions& options) { return error_of([&] { AdamW refused(p, options); }); };
  const auto sgd = [&](const SGDOptions& options) { return error_of([&] { SGD refused(p, options); }); };
  const double nan = std::nan(""), infinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(adam({.lr = 0, .beta1 = 0, .beta2 = 0, .weight_decay = 0}), "");
  EXPECT_EQ(adam({.lr = -1e-9}), "optimizer: lr is -1e-09, it must be finite and at least 0");
  EXPECT_EQ(adam({.beta1 = 1}), "adamw: beta1 is 1, it must be in [0, 1)");
  EXPECT_EQ(adam({.eps = 0}), "adamw: eps is 0, it must be finite and above 0");
  for (const AdamWOptions& bad : std::vector<AdamWOptions>{{.lr = nan},
                                                           {.lr = infinity},
                                                           {.beta1 = -0.1},
                                                           {.beta1 = nan},
                                                           {.beta2 = 1},
                                                           {.beta2 = -0.1},
                                                           {.beta2 = nan},
                                                           {.eps = -1e-8},
                                                           {.eps = nan},
                                                           {.weight_decay = -1},
                                                           {.weight_decay = nan},
                                                           {.weight_decay = infinity}}) {
    EXPECT_NE(adam(bad), "");
  }
  EXPECT_EQ(sgd({.momentum = 0.5, .nesterov = true}), "");
  EXPECT_EQ(sgd({.nesterov = true}), "sgd: momentum is 0, it must be above 0 for Nesterov's look-ahead");
  for (const SGDOptions& bad : std::vector<SGDOptions>{{.lr = -1},
                                                       {.momentum = 1},
                                                       {.momentum = -0.1},
                                                       {.momentum = nan},
                                                       {.weight_decay = -1},
                                                       {.weight_decay = nan}}) {
    EXPECT_NE(sgd(bad), "");
  }
}

TEST(Optimizer, RefusesParametersOf16Bits) {
  for (const DType dtype : {DType::bfloat16, DType::float16}) {
    Tensor x = ones({3}, {dtype}).requires_grad(true);
    EXPECT_EQ(error_of([&] { AdamW adam({parameter("w", x)}); }),
              std::string("optimizer: parameter 'w' is ") + name_of(dtype) +
                  " (3), in which small updates round away: keep it in float32, which ops take beside 16-bit "
                  "activations");
  }
}

}  // namespace
}  // namespace folio::optim
