// The life of a tape: what it records, when it lets go, and what it refuses.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <memory>
#include <thread>

#include "autograd/autograd.hpp"
#include "autograd/fault.hpp"

namespace folio::testing {
namespace {

Tensor leaf(std::initializer_list<double> values) {
  Tensor x = tensor(values, {DType::float64});
  x.requires_grad(true);
  return x;
}

/// The message with which `action` is refused.
template <class Action>
std::string refusal(Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "accepted";
}

void expect_says(const std::string& message, const char* part) {
  EXPECT_NE(message.find(part), std::string::npos) << "'" << message << "' does not say '" << part << "'";
}

}  // namespace

TEST(Tape, RecordsNothingWithoutATapeAndNothingThatNeedsNoGradient) {
  const Tensor x = leaf({1, 2});
  EXPECT_FALSE((x * x).requires_grad());
  Tape tape;
  const Tensor constant = tensor({1, 2}, {DType::float64});
  EXPECT_FALSE((constant * constant).requires_grad());
  EXPECT_TRUE(tape.entries().empty());
  exp(x);
  ASSERT_EQ(tape.entries().size(), 1U);
  EXPECT_EQ(tape.entries().front().op, op::exp);
}

TEST(Tape, KeepsTheOrderInWhichOpsRan) {
  const Tensor x = leaf({1, 2});
  Tape tape;
  const Tensor y = sum(exp(x) * x);
  std::vector<std::string> names;
  for (const Entry& e : tape.entries()) names.emplace_back(e.op.text);
  EXPECT_EQ(names, (std::vector<std::string>{"exp", "multiply", "sum"}));
  EXPECT_EQ(live_entries(), 3U);
  tape.backward(y);
  EXPECT_EQ(live_entries(), 0U);
}

TEST(Tape, LetsGoOfWhatWasSavedAsItIsUsed) {
  const auto before = memory_statistics().live;
  {
    Tensor x = ones({64, 64}, {DType::float64});
    x.requires_grad(true);
    static std::vector<std::size_t> live;
    live.clear();
    {
      Tape tape;
      Tensor y = x;
      for (int i = 0; i < 8; ++i) y = tanh(y);
      const Tensor loss = sum(y);
      y = Tensor();
      fault::hook.before = [](Entry&, Tensors&) { live.push_back(memory_statistics().live); };
      tape.backward(loss);
      fault::hook = {};
    }
    ASSERT_EQ(live.size(), 9U);
    for (std::size_t i = 3; i < live.size(); ++i) EXPECT_LT(live[i], live[i - 1]) << "step " << i;
  }
  EXPECT_EQ(memory_statistics().live, before);
  EXPECT_EQ(live_entries(), 0U);
}

TEST(Tape, AddsUpOverFanOutAndOverCallsUntilItIsZeroed) {
  Tensor x = leaf({3});
  for (int i = 1; i <= 2; ++i) {
    Tape tape;
    tape.backward(sum(x * x + x));
    EXPECT_EQ(x.grad().item(), 7.0 * i);
  }
  x.zero_grad();
  EXPECT_FALSE(x.grad().defined());
}

TEST(Tape, RefusesWhatCannotBeRightInOneLineEach) {
  Tensor x = leaf({1, 2});
  {
    Tape tape;
    const Tensor y = exp(x);
    expect_says(refusal([&] { tape.backward(y); }), "not a scalar; pass a cotangent");
    expect_says(refusal([&] { tape.backward(y, ones({3}, {DType::float64})); }), "cotangent");
    const Tensor loss = sum(y);
    tape.backward(loss);
    expect_says(refusal([&] { tape.backward(loss); }), "twice");
    expect_says(refusal([&] { exp(y); }), "detach()");
    expect_says(refusal([&] { tape.backward(sum(x.grad())); }), "double backward is not supported");
  }
  Tensor stale;
  {
    const Tape gone;
    stale = exp(x);
  }
  Tape tape;
  expect_says(refusal([&] { tape.backward(sum(stale)); }), "detach()");
  expect_says(refusal([&] { tape.backward(stale, ones({2}, {DType::float64})); }), "another tape");
  EXPECT_FALSE(x.grad().to_vector().empty());
}

TEST(Tape, RecordsOnlyWhatItsOwnThreadDoes) {
  const Tensor x = leaf({1, 2});
  const Tape mine;
  std::vector<std::vector<double>> gradients(4);
  std::vector<std::size_t> seen(4);
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < gradients.size(); ++i) {
      threads.emplace_back([&, i] {
        const Tensor own = leaf({1, 2});
        const bool unseen = !exp(own).requires_grad();
        Tape tape;
        Tensor y = own;
        for (std::size_t k = 0; k < i; ++k) y = y * own;
        y = sum(y);
        seen[i] = unseen ? tape.entries().size() : 0;
        tape.backward(y);
        gradients[i] = own.grad().to_vector();
      });
    }
  }
  EXPECT_TRUE(mine.entries().empty());
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    const double n = static_cast<double>(i + 1);
    EXPECT_EQ(seen[i], i + 1);
    EXPECT_EQ(gradients[i], (std::vector<double>{n, n * std::pow(2, n - 1)})) << "thread " << i;
  }
  EXPECT_EQ(live_entries(), 0U);
}

/// An op of a user's own that hands back what it was given, its gradient doubled so that it shows.
Tensors hand_back(const Tensors& given, const Tensors& inputs) {
  return record_all({.op = OpName{"hand_back"},
                     .inputs = inputs,
                     .outputs = given,
                     .backward = [](const Entry& e, const Tensors& dy) -> Tensors {
                       Tensors all;
                       for (std::size_t i = 0; i < dy.size(); ++i) all.push_back(e.needs(i) ? dy[i] * 2.0 : Tensor());
                       return all;
                     }});
}

TEST(Tape, KeepsTheGradientOfALeafThatIsSwitchedOffBetweenForwardAndBackward) {
  Tensor x = leaf({3});
  {
    Tape tape;
    const Tensor y = x * x;
    expect_says(refusal([&] { x.requires_grad(false); }),
                "requires_grad: a live tape has recorded an op on float64 (1)");
    x.requires_grad(true);  // it is
    tape.backward(y);
    EXPECT_EQ(x.grad().item(), 6);
    x.requires_grad(false).requires_grad(true);  // the tape is empty
    EXPECT_FALSE(x.grad().defined());
    exp(x);
  }
  x.requires_grad(false);
  EXPECT_FALSE(x.requires_grad());
}

TEST(Tape, MayGoOnAnotherThreadThanTheOneThatMadeIt) {
  const Tensor x = leaf({2});
  const Tape outer;
  auto tape = std::make_unique<Tape>();
  exp(x);
  std::thread([gone = std::move(tape)] {}).join();
  EXPECT_EQ(Tape::current(), &outer);
  exp(x);
  EXPECT_EQ(outer.entries().size(), 1U);
  EXPECT_EQ(live_entries(), 1U);
}

TEST(Tape, RefusesAnOpWithoutAnOutputAndParametersOfAnotherType) {
  const Tensor x = leaf({2});
  Tape tape;
  constexpr OpName odd{"odd"};
  expect_says(refusal([&] { record({.op = odd, .inputs = {x}, .outputs = {}}); }), "the op 'odd' has 0 outputs");
  expect_says(refusal([&] { record({.op = odd, .inputs = {x}, .outputs = {x, x}}); }), "the op 'odd' has 2 outputs");
  scale(x, 3);
  expect_says(refusal([&] { tape.entries().front().parameter<std::string>(); }),
              "scale: backward asks for parameters of another type");
  exp(x);
  expect_says(refusal([&] { tape.entries().back().parameter<double>(); }), "which are none");
}

TEST(Tape, LetsAnOpReturnItsInput) {
  const Tensor x = leaf({1, 2}), constant = tensor({3, 4}, {DType::float64});
  Tape tape;
  const Tensors y = hand_back({x, constant}, {x, constant});
  EXPECT_FALSE(y[0].is(x));
  EXPECT_EQ(y[0].storage(), x.storage());
  EXPECT_TRUE(y[1].requires_grad());
  EXPECT_FALSE(constant.requires_grad());
  tape.backward(sum(y[0] * y[1]) + sum(x));
  EXPECT_EQ(x.grad().to_vector(), (std::vector<double>{7, 9}));
}

TEST(Tape, LetsAnOpReturnTheResultOfAnother) {
  const Tensor x = leaf({1, 2});
  Tape tape;
  const Tensor inner = x * 5.0;
  const Tensor outer = hand_back({inner}, {x}).front();
  tape.backward(sum(outer) + sum(inner));
  EXPECT_EQ(x.grad().to_vector(), (std::vector<double>{7, 7}));
}

TEST(Tape, TakesTheOutputsOfAnOpWithoutBackwardForConstants) {
  const Tensor x = leaf({1, 2});
  Tape tape;
  const Tensor y = record({.op = OpName{"constant"}, .inputs = {x}, .outputs = {x.clone()}});
  EXPECT_FALSE(y.requires_grad());
  tape.backward(sum(x * y));
  EXPECT_EQ(x.grad().to_vector(), (std::vector<double>{1, 2}));
}

TEST(Tape, NoticesThatSomethingSavedWasChangedInPlace) {
  Tensor x = leaf({1, 2}), w = tensor({3, 4}, {DType::float64});
  Tape tape;
  const Tensor y = sum(x * w);
  w.fill(0);
  const std::string message = refusal([&] { tape.backward(y); });
  expect_says(message, "multiply");
  expect_says(message, "changed in place");
}

TEST(Tape, NoticesThatABackwardChangedItsUpstreamGradient) {
  Tensor x = leaf({1, 2}), other = leaf({3, 4});
  const auto doubled_in_place = [](const Entry&, const Tensors& dy) -> Tensors {
    Tensor dx = dy[0];
    for (int i = 0; i < 2; ++i) dx.mutable_data<double>()[i] *= 2;
    return {dx};
  };
  const auto doubled = [](const Entry&, const Tensors& dy) -> Tensors {
    Tensor dx = dy[0].clone();
    dx.fill(2);
    return {dx};
  };
  Tape tape;
  const auto twice = [&](Backward backward) {
    return record({.op = OpName{"twice"}, .inputs = {x}, .outputs = {x.detach() * 2.0}, .backward = backward});
  };
  const Tensor bad = sum(twice(doubled_in_place) + other);
  expect_says(refusal([&] { tape.backward(bad); }), "twice: backward changed its upstream gradient in place");
  x.zero_grad();
  other.zero_grad();
  tape.backward(sum(twice(doubled) + other));
  EXPECT_EQ(x.grad().to_vector(), (std::vector<double>{2, 2}));
  EXPECT_EQ(other.grad().to_vector(), (std::vector<double>{1, 1}));
}

TEST(Tape, OpenedWhereRecordingIsPausedRecords) {
  const Tensor x = leaf({3});
  const Tape outer;
  {
    const NoRecording pause;
    EXPECT_EQ(Tape::current(), nullptr);
    {
      Tape tape;
      const Tensor y = x * x;
      {
        const NoRecording again;
        exp(x);
      }
      EXPECT_EQ(tape.entries().size(), 1U);
      tape.backward(y);
    }
    EXPECT_EQ(x.grad().item(), 6);
    exp(x);
  }
  EXPECT_TRUE(outer.entries().empty());
  EXPECT_EQ(Tape::current(), &outer);
}

TEST(Tape, LetsABackwardComputeAgainWhatItDidNotSave) {
  const auto f = [](const Tensor& x) { return exp(x) * x; };
  const Tensor x = leaf({1, 2}), plain = leaf({1, 2});
  Tape tape;
  const Tensor y = record({.op = OpName{"checkpoint"},
                           .inputs = {x},
                           .outputs = {f(x.detach())},
                           .saved = {x},
                           .backward = [](const Entry& e, const Tensors& dy) -> Tensors {
                             Tensor again = e.saved(0).detach();
                             again.requires_grad(true);
                             Tape inner;
                             inner.backward(exp(again) * again, dy[0]);
                             return {again.grad()};
                           }});
  ASSERT_EQ(tape.entries().size(), 1U);
  tape.backward(sum(y * y) + sum(f(plain) * f(plain)));
  EXPECT_EQ(x.grad().to_vector(), plain.grad().to_vector());
  EXPECT_EQ(live_entries(), 0U);
}

TEST(Tape, RecordsAnOpWithSeveralOutputsAsOneEntry) {
  const Tensor x = leaf({1, 2, 3});
  Tape tape;
  const Tensors parts = split(x, {1, 2}, 0);
  ASSERT_EQ(tape.entries().size(), 1U);
  tape.backward(sum(parts[1] * 5.0));
  EXPECT_EQ(x.grad().to_vector(), (std::vector<double>{0, 5, 5}));
}

TEST(Tape, DrawsItselfForGraphviz) {
  const Tensor x = leaf({1, 2});
  Tape tape;
  sum(exp(x));
  const std::string dot = to_dot(tape);
  for (const char* part : {"digraph", "exp", "sum", "leaf", "->", "(2)"}) expect_says(dot, part);
  FILE* graphviz = popen("dot -Tplain >/dev/null", "w");
  ASSERT_NE(graphviz, nullptr);
  EXPECT_EQ(std::fwrite(dot.data(), 1, dot.size(), graphviz), dot.size());
  EXPECT_EQ(pclose(graphviz), 0) << "Graphviz does not take it:\n" << dot;
}

}  // namespace folio::testing
