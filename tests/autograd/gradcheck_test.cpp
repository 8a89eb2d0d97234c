// The checker is checked: it must accept what is right, and catch and name what is wrong.
#include <gtest/gtest.h>

#include "autograd/autograd.hpp"
#include "tests/error_of.hpp"

namespace folio::testing {
namespace {

constexpr Options f64 = {DType::float64};

/// y = x³ with a derivative that is `factor` times the right one.
template <int per_million>
Tensor cube(const Tensor& x) {
  return record({.op = OpName{"cube"},
                 .inputs = {x},
                 .outputs = {power(x.detach(), 3)},
                 .saved = {x},
                 .backward = [](const Entry& e, const Tensors& dy) -> Tensors {
                   return {dy[0] * e.saved(0) * e.saved(0) * (3 * (1 + per_million * 1e-6))};
                 }});
}

using Function = std::function<Tensors(const Tensors&)>;

Tensor input(const Shape& shape, std::uint64_t seed = 1) {
  Generator random(seed);
  return uniform(shape, random, 0.5, 2, f64);
}

}  // namespace

TEST(Gradcheck, AcceptsAnOpOfAUsersOwn) {
  const auto report = gradcheck([](const Tensors& x) -> Tensors { return {cube<0>(x[0])}; }, {input({3, 4})});
  EXPECT_TRUE(report) << report;
  EXPECT_EQ(report.checked, GradcheckOptions{}.directions);
}

TEST(Gradcheck, CatchesAnErrorOfAThousandthOfAPercentAndNamesTheOp) {
  const auto report = gradcheck([](const Tensors& x) -> Tensors { return {cube<10>(x[0])}; }, {input({3, 4})});
  EXPECT_FALSE(report);
  for (const char* part : {"cube", "input 0", "element", "analytic", "numeric", "step"}) {
    EXPECT_NE(report.message.find(part), std::string::npos) << part << " is missing in: " << report.message;
  }
}

TEST(Gradcheck, CatchesAWrongInputAmongRightOnes) {
  const auto f = [](const Tensors& x) -> Tensors { return {cube<0>(x[0]) * sum(x[1]), cube<500>(x[1])}; };
  const auto report = gradcheck(f, {input({2}), input({3}, 2)});
  EXPECT_FALSE(report);
  EXPECT_NE(report.message.find("input 1"), std::string::npos) << report.message;
}

TEST(Gradcheck, DiscardsDirectionsThatCrossADiscreteChoice) {
  // The two elements tie to within the step, so most directions change which is the larger.
  const Tensor x = tensor({1.0, 1.0 + 1e-6}, f64);
  const auto report =
      gradcheck([](const Tensors& in) -> Tensors { return {max(in[0], 0).first}; }, {x}, {.directions = 8});
  EXPECT_GT(report.discarded, 0) << report;
  const Tensor apart = tensor({1.0, 2.0}, f64);
  const auto clear =
      gradcheck([](const Tensors& in) -> Tensors { return {max(in[0], 0).first}; }, {apart}, {.directions = 8});
  EXPECT_TRUE(clear) << clear;
  EXPECT_EQ(clear.discarded, 0);
}

TEST(Gradcheck, DoesNotPassWhereNothingWasCompared) {
  const auto f = [](const Tensors& in) -> Tensors { return {exp(in[0])}; };
  const auto report = gradcheck(f, {input({2})}, {.directions = 0});
  EXPECT_FALSE(report);
  EXPECT_NE(report.message.find("nothing was compared"), std::string::npos) << report;
  EXPECT_TRUE(gradcheck(f, {input({2})}, {.directions = 0, .jacobian = true}));
  EXPECT_THROW(gradcheck([](const Tensors&) -> Tensors { return {ones({1})}; }, {}), Error);
}

TEST(Gradcheck, DoesNotPassWhereNothingIsDifferentiable) {
  const auto expect_unchecked = [](const Function& f, const Tensors& inputs, const std::string& said) {
    for (const GradcheckOptions& options : {GradcheckOptions{}, GradcheckOptions{.elements = true, .jacobian = true}}) {
      const auto report = gradcheck(f, inputs, options);
      EXPECT_FALSE(report) << report;
      EXPECT_EQ(report.checked, 0) << report;
      EXPECT_NE(report.message.find(said), std::string::npos) << report;
    }
  };
  const char* depends = "no float output of f depends on an input";
  expect_unchecked([](const Tensors&) -> Tensors { return {}; }, {input({3})}, "(got no output)");
  expect_unchecked([](const Tensors& x) -> Tensors { return {top_k(x[0], 2).second}; }, {input({4})},
                   "(got int32 (2))");
  expect_unchecked([](const Tensors&) -> Tensors { return {ones({2}, f64)}; }, {input({3})}, depends);
  expect_unchecked([](const Tensors& x) -> Tensors { return {exp(x[0].slice(0, 0, 0))}; }, {input({3})}, depends);
  expect_unchecked([](const Tensors& x) -> Tensors { return {exp(x[0])}; }, {input({0, 3})},
                   "no float64 input has an element");
  // What depends on a constant alone, or on an input without an element, does not count.
  Tensor own = input({2});
  own.requires_grad(true);
  expect_unchecked([&](const Tensors&) -> Tensors { return {exp(own)}; }, {input({3})}, depends);
  expect_unchecked([](const Tensors& x) -> Tensors { return {sum(x[0])}; }, {input({0}), input({3})}, depends);
}

TEST(Gradcheck, ChecksAnOutputThatIsAnInputOrStandsBesideIndices) {
  EXPECT_TRUE(gradcheck([](const Tensors& x) -> Tensors { return {x[0]}; }, {input({3})}));
  const auto f = [](const Tensors& x) -> Tensors {
    const auto [values, indices] = top_k(x[0], 2);
    return {values, indices};
  };
  EXPECT_TRUE(gradcheck(f, {tensor({1.0, 3.0, 2.0}, f64)}));
}

TEST(Gradcheck, SaysThatAnOpThatIsNotRecordedHasNoGradient) {
  const auto report = gradcheck([](const Tensors& x) -> Tensors { return {exp(x[0].detach())}; }, {input({3})});
  EXPECT_FALSE(report);
  EXPECT_GT(report.checked, 0);
  EXPECT_NE(report.message.find("no recorded op reads"), std::string::npos) << report;
}

TEST(Gradcheck, DoesNotTakeAnInfiniteDifferenceForAgreement) {
  // Overflows at a whole step, not at half of one: the difference is infinite, and so is the scale of what is allowed.
  const auto f = [](const Tensors& x) -> Tensors { return {exp(x[0]) * 1e-10}; };
  const auto report = gradcheck(f, {tensor({709.782}, f64)});
  EXPECT_FALSE(report) << report;
}

TEST(Gradcheck, LeavesItsInputsAsTheyWere) {
  Tensor x = input({5});
  const std::vector<double> before = x.to_vector();
  x.requires_grad(true);
  const auto report = gradcheck_leaves([&]() -> Tensors { return {exp(x)}; }, {x});
  EXPECT_TRUE(report) << report;
  EXPECT_EQ(x.to_vector(), before);
  EXPECT_FALSE(x.grad().defined());
}

TEST(Gradcheck, ForgivesNoMoreRoundingThanFloat64Makes) {
  Generator generator(3);
  const Tensor x = randn({2, 3}, generator, {DType::float64});
  const auto through_float32 = [](const Tensors& in) {
    return Tensors{cast(cast(in[0], DType::float32), DType::float64)};
  };
  EXPECT_FALSE(gradcheck(through_float32, {x}));
  const auto cancels = [](const Tensors& in) { return Tensors{in[0] + 1e6 - 1e6}; };
  EXPECT_FALSE(gradcheck(cancels, {x}));
}

TEST(Gradcheck, RefusesOtherFloatsAndSaysWhy) {
  for (const DType dtype : {DType::float32, DType::bfloat16, DType::float16}) {
    const auto f = [](const Tensors& x) { return Tensors{exp(x[0]), exp(x[1].to(DType::float64))}; };
    const std::string error = error_of([&] { gradcheck(f, {ones({2}, {DType::float64}), ones({2}, {dtype})}); });
    EXPECT_EQ(error.find("gradcheck: input 1 is "), 0U) << error;
    EXPECT_NE(error.find("float64"), std::string::npos) << error;
  }
}

}  // namespace folio::testing
