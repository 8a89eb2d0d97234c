// float32 weights beside 16-bit activations: a product is of the rounded weight, and the weight's gradient is float32.
#include <gtest/gtest.h>

#include <functional>

#include "autograd/autograd.hpp"
#include "tests/using_provider.hpp"

namespace folio::testing {
namespace {

constexpr DType halves[] = {DType::bfloat16, DType::float16};

using Op = std::function<Tensor(const Tensor& x, const Tensor& weight)>;

struct Result {
  Tensor y, dx, dw;
};
Result run(const Op& op, Tensor x, Tensor weight, const Tensor& dy) {
  x = x.detach().requires_grad(true);
  weight = weight.detach().requires_grad(true);
  Tape tape;
  const Tensor y = op(x, weight);
  tape.backward(y, dy.to(y.dtype()));
  return {y.detach(), x.grad(), weight.grad()};
}

/// Against the same op in float32 at the numbers that the 16-bit one sees: results are those, rounded once, and dw is not
/// rounded at all. `rounds_weight`: whether the op multiplies by the rounded weight.
void expect_mixed(const Op& op, const Tensor& x, const Tensor& weight, const Tensor& dy, bool rounds_weight) {
  for (const DType dtype : halves) {
    const Tensor seen = x.to(dtype), upstream = dy.to(dtype);
    const Result mixed = run(op, seen, weight, upstream);
    const Tensor exact_weight = rounds_weight ? weight.to(dtype).to(DType::float32) : weight;
    const Result wide = run(op, seen.to(DType::float32), exact_weight, upstream.to(DType::float32));
    EXPECT_EQ(mixed.y.dtype(), dtype);
    EXPECT_EQ(mixed.dx.dtype(), dtype);
    EXPECT_EQ(mixed.dw.dtype(), DType::float32);
    EXPECT_EQ(mixed.y.to_vector(), wide.y.to(dtype).to_vector());
    EXPECT_EQ(mixed.dx.to_vector(), wide.dx.to(dtype).to_vector());
    EXPECT_EQ(mixed.dw.to_vector(), wide.dw.to_vector());
  }
}

/// Whole numbers over 16 below `most`/16: sums of their products are exact in float32, whatever the order.
Tensor draw(const Shape& shape, std::uint64_t seed, double most = 64) {
  Generator generator(seed);
  return scale(uniform(shape, generator, -most, most).to(DType::int32).to(DType::float32), 1.0 / 16);
}

}  // namespace

TEST(MixedPrecision, LinearTakesAFloat32Weight) {
  const Tensor weight = draw({5, 7}, 1, 4000);  // more bits than 16-bit floats hold
  expect_mixed(linear, draw({3, 4, 7}, 2), weight, draw({3, 4, 5}, 3), true);
}

TEST(MixedPrecision, ExpertMatmulTakesAFloat32Weight) {
  const Tensor offsets = from_indices(std::vector<std::int32_t>{0, 3, 3, 8}, {4});
  const Op op = [&](const Tensor& x, const Tensor& w) { return expert_matmul(x, w, offsets); };
  expect_mixed(op, draw({8, 6}, 1), draw({3, 5, 6}, 2, 4000), draw({8, 5}, 3), true);
}

TEST(MixedPrecision, RmsNormTakesAFloat32Weight) {
  expect_mixed([](const Tensor& x, const Tensor& w) { return rms_norm(x, w); }, draw({9, 33}, 1),
               draw({33}, 2, 100'000), draw({9, 33}, 3), false);
}

TEST(MixedPrecision, CombineRowsTakesFloat32Weights) {
  const Routing routing = route(from_indices(std::vector<std::int32_t>{0, 1, 2, 0, 1, 2}, {3, 2}), 3);
  const Op op = [&](const Tensor& rows, const Tensor& w) { return combine_rows(rows, w, routing); };
  expect_mixed(op, draw({6, 10}, 1), draw({3, 2}, 2, 4000), draw({3, 10}, 3), false);
}

TEST(MixedPrecision, CrossEntropyIsFloat32) {
  constexpr std::int64_t classes = 5000;  // more than are looked at together
  const Tensor targets = from_indices(std::vector<std::int32_t>{2, 4321, -100, 0}, {4});
  for (const DType dtype : halves) {
    for (const double smoothing : {0.0, 0.1}) {
      Tensor logits = draw({4, classes}, 1).to(dtype).requires_grad(true);
      Tensor wide = logits.detach().to(DType::float32).requires_grad(true);
      const auto loss_of = [&](const Tensor& x) { return cross_entropy(x, targets, {.label_smoothing = smoothing}); };
      Tape tape;
      const Tensor loss = loss_of(logits), expected = loss_of(wide);
      tape.backward(loss + expected);
      EXPECT_EQ(loss.dtype(), DType::float32);
      EXPECT_EQ(loss.item(), expected.item());
      EXPECT_EQ(logits.grad().dtype(), dtype);
      EXPECT_EQ(logits.grad().to_vector(), wide.grad().to(dtype).to_vector());
    }
  }
}

TEST(MixedPrecision, CrossEntropyKeepsNoFloat32Logits) {
  const Tensor targets = zeros({64}, {DType::int32});
  Tensor logits = draw({64, 3000}, 1).to(DType::bfloat16).requires_grad(true);
  const std::size_t before = memory_statistics(Device::cpu).live;
  reset_peak_memory(Device::cpu);
  Tape tape;
  tape.backward(cross_entropy(logits, targets));
  EXPECT_LT(memory_statistics(Device::cpu).peak - before, 3 * logits.storage()->bytes() / 2)
      << "more than the gradient, of as many bytes as the logits";
}

TEST(MixedPrecision, AttentionKeepsItsLogarithmsInFloat32) {
  const Using eigen(GemmProvider::eigen);  // probabilities are not rounded
  for (const DType dtype : halves) {
    const Tensor q = draw({1, 40, 2, 8}, 1).to(dtype), k = draw({1, 40, 2, 8}, 2).to(dtype);
    const Tensor dy = draw({1, 40, 2, 8}, 3).to(dtype);
    const Tensor v = draw({1, 40, 2, 8}, 4).to(dtype);
    const auto gradient = [&](DType in) {  // of v: the probabilities, made again from the logarithms, times dy
      Tensor leaf = v.to(in).detach().requires_grad(true);
      Tape tape;
      tape.backward(causal_attention(q.to(in), k.to(in), leaf, {}, 0.3), dy.to(in));
      return leaf.grad();
    };
    EXPECT_EQ(gradient(dtype).to_vector(), gradient(DType::float32).to(dtype).to_vector());
  }
}

TEST(MixedPrecision, RopeTurnsByAnglesInFloat32) {
  for (const DType dtype : halves) {
    const Tensor x = draw({2, 50, 3, 8}, 1).to(dtype);
    EXPECT_EQ(rope(x).to_vector(), rope(x.to(DType::float32)).to(dtype).to_vector());
  }
}

TEST(MixedPrecision, ACastWeightGetsItsGradientInItsOwnDtype) {
  Tensor master = draw({4, 6}, 1).requires_grad(true);
  Tape tape;
  const Tensor y = linear(draw({3, 6}, 2).to(DType::bfloat16), master.to(DType::bfloat16));
  tape.backward(y, ones({3, 4}, {DType::bfloat16}));
  EXPECT_EQ(master.grad().dtype(), DType::float32);
  EXPECT_EQ(master.grad().slice(0, 0, 1).to_vector(), sum(draw({3, 6}, 2), {0}).to(DType::bfloat16).to_vector());
}

}  // namespace folio::testing
