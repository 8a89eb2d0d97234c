#include "autograd/profile.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "autograd/autograd.hpp"
#include "autograd/kernels.hpp"

namespace folio {
namespace {

using Kind = Span::Kind;

struct Model {
  Generator generator{1};
  Tensor x = randn({6, 5}, generator), w = randn({4, 5}, generator), b = randn({4}, generator);
  Model() {
    w.requires_grad(true);
    b.requires_grad(true);
  }
  void step() {
    Tape tape;
    tape.backward(sum(silu(linear(x, w) + b).reshape({24})));
  }
};

bool holds(const Span& outer, const Span& inner) {
  constexpr double rounding = 1e-12;
  return outer.start <= inner.start + rounding && inner.start + inner.seconds <= outer.start + outer.seconds + rounding;
}

bool is_op(const Span& span) { return span.kind == Kind::forward || span.kind == Kind::backward; }

}  // namespace

TEST(Profile, CountsEveryOpBothWays) {
  Model model;
  const Profile profile;
  ProfileSection part;
  part.next("step");
  for (int i = 0; i < 3; ++i) model.step();
  part.end();
  for (const char* op : {"linear", "add", "silu", "sum"}) {
    EXPECT_EQ(profile.total(Kind::forward, op).calls, 3) << op;
    EXPECT_EQ(profile.total(Kind::backward, op).calls, 3) << op;
    EXPECT_GT(profile.total(Kind::forward, op).seconds, 0) << op;
  }
  EXPECT_EQ(profile.total(Kind::backward, "reshape").calls, 3);
  EXPECT_EQ(profile.total(Kind::forward, "reshape").seconds, 0) << "a view";
  EXPECT_EQ(profile.total(Kind::section, "step").calls, 1);
  EXPECT_EQ(profile.total(Kind::forward, "matmul").calls, 0) << "what linear's backward calls is linear's";
}

TEST(Profile, KernelsLieInOpsAndOpsInSections) {
  Model model;
  const Profile profile;
  ProfileSection part;
  part.next("warm-up");
  model.step();
  part.next("step");
  model.step();
  kernel::scale(model.x, 2, 0, model.x);
  const Tensor turned = model.x.transpose(0, 1);  // a view, which ran nothing
  part.end();
  std::map<Profile::Key, Profile::Total> sums;
  for (const Span& span : profile.spans()) {
    ++sums[{span.kind, span.name}].calls;
    sums[{span.kind, span.name}].seconds += span.seconds;
    if (span.kind == Kind::section) continue;
    const bool in_op = span.kind == Kind::kernel;
    EXPECT_EQ(std::ranges::count_if(profile.spans(),
                                    [&](const Span& outer) {
                                      return (in_op ? is_op(outer) : outer.kind == Kind::section) && holds(outer, span);
                                    }),
              1)
        << span.name;
  }
  for (const auto& [key, total] : profile.totals()) {
    if (total.seconds == 0) continue;  // a view has no span
    EXPECT_EQ(sums[key].calls, total.calls) << key.second;
    EXPECT_NEAR(sums[key].seconds, total.seconds, 1e-12) << key.second;
  }
  EXPECT_EQ(profile.total(Kind::loose, "scale").calls, 1);
  EXPECT_LE(profile.seconds(Kind::forward) + profile.seconds(Kind::backward) + profile.seconds(Kind::loose),
            profile.seconds(Kind::section));
}

TEST(Profile, TakesOpsWithoutKernelsOfTheirOwnAndInputsThatAreNotThere) {
  Generator generator(1);
  const Tensor q = randn({1, 3, 2, 4}, generator), half = randn({4}, generator).to(DType::bfloat16);
  const Profile profile;
  ProfileSection part;
  part.next("step");
  causal_attention(q, q, q, {}, 0.5);
  mean(half);  // whose last kernel is its cast's
  part.end();
  EXPECT_EQ(profile.total(Kind::forward, "causal_attention").calls, 1);
  EXPECT_EQ(profile.total(Kind::forward, "mean").calls, 1);
  EXPECT_LE(profile.seconds(Kind::forward) + profile.seconds(Kind::loose), profile.seconds(Kind::section));
}

TEST(Profile, GivesAnOpWhatATapeInItsBackwardDoes) {
  const Tensor x = ones({3}).requires_grad(true);
  const Profile profile;
  ProfileSection part;
  part.next("step");
  Tape tape;
  const Tensor y = record({.op = OpName{"checkpoint"},
                           .inputs = {x},
                           .outputs = {ones({3})},
                           .saved = {x.detach()},
                           .backward = [](const Entry& entry, const Tensors& dy) -> Tensors {
                             const Tensor again = entry.saved(0).detach().requires_grad(true);
                             Tape inner;
                             inner.backward(sum(exp(again) * dy[0]));
                             return {again.grad()};
                           }});
  tape.backward(sum(y));
  part.end();
  EXPECT_EQ(profile.total(Kind::backward, "checkpoint").calls, 1);
  EXPECT_EQ(profile.total(Kind::backward, "exp").calls, 0);
  EXPECT_EQ(profile.total(Kind::backward, "sum").calls, 1) << "the outer one alone";
}

TEST(Profile, SeesNothingOutsideItsScopeAndItsSections) {
  Model model;
  const Profile profile(2);
  model.step();
  EXPECT_TRUE(profile.totals().empty());
  ProfileSection part;
  part.next("step");
  {
    const Profile inner;
    model.step();
    EXPECT_TRUE(inner.totals().empty());
  }
  part.next("another");
  EXPECT_EQ(profile.totals().size(), 1U) << "the section alone";
  model.step();
  part.end();
  EXPECT_EQ(profile.spans().size(), 2U);
  EXPECT_FALSE(profile.spans_are_all());
  EXPECT_EQ(profile.total(Kind::forward, "silu").calls, 1);
  Profile::forget_warm_up();
  EXPECT_TRUE(profile.totals().empty() && profile.spans().empty() && profile.spans_are_all());
}

TEST(Profile, KnowsWhatOpsCost) {
  Model model;
  const Profile profile;
  ProfileSection part;
  part.next("step");
  model.step();
  part.end();
  const Cost there = profile.total(Kind::forward, "linear").cost, back = profile.total(Kind::backward, "linear").cost;
  EXPECT_EQ(there.flops, 2 * 6 * 4 * 5);
  EXPECT_EQ(back.flops, 2 * 6 * 4 * 5) << "x needs no gradient";
  EXPECT_EQ(there.bytes, 4 * (6 * 5 + 4 * 5 + 6 * 4));
  EXPECT_EQ(back.bytes, 4 * (6 * 4 + 6 * 5 + 4 * 5)) << "dy, x, dw";
  EXPECT_EQ(profile.total(Kind::forward, "silu").cost.bytes, 4 * 2 * 24);
  EXPECT_EQ(profile.total(Kind::forward, "silu").cost.flops, 0);
  EXPECT_EQ(profile.total(Kind::backward, "reshape").cost.bytes, 0) << "a view";
}

TEST(Profile, CountsTheScoresThatTheMaskLeaves) {
  const std::int64_t batch = 2, queries = 3, offset = 4, heads = 5, width = 6, rotary = 2, out = 7;
  const std::int64_t keys = offset + queries;
  Generator generator(1);
  Tensor q = randn({batch, queries, heads, width + rotary}, generator);
  q.requires_grad(true);
  const Tensor k = randn({batch, keys, heads, width}, generator), v = randn({batch, keys, heads, out}, generator);
  std::int64_t pairs = 0;
  for (std::int64_t t = 0; t < queries; ++t) {
    for (std::int64_t s = 0; s < keys; ++s) pairs += s <= t + offset ? batch * heads : 0;
  }
  const Profile profile;
  ProfileSection part;
  part.next("step");
  Tape tape;
  tape.backward(sum(causal_attention(q, k, v, randn({batch, keys, rotary}, generator), 1, offset)));
  part.end();
  const auto products = static_cast<double>(2 * pairs);
  EXPECT_EQ(profile.total(Kind::forward, "causal_attention").cost.flops, products * (width + rotary + out));
  EXPECT_EQ(profile.total(Kind::backward, "causal_attention").cost.flops, products * (3 * (width + rotary) + 2 * out));
}

TEST(Profile, RowsThatAreNotPickedCostNothing) {
  Generator generator(1);
  const Tensor table = randn({1000, 8}, generator);
  const Profile profile;
  ProfileSection part;
  part.next("step");
  embedding(table, from_indices(std::vector<std::int32_t>{3, 1}, {2}));
  part.end();
  EXPECT_EQ(profile.total(Kind::forward, "embedding").cost.bytes, 4 * 2 * 2 * 8);
}

}  // namespace folio
