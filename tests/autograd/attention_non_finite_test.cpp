// What attention makes of what is not finite, and of scores that overflow. On the CPU, and on the CUDA device that it
// is linked with; CMake names the suite, which is NonFiniteAttention or CudaNonFiniteAttention.
#include <cmath>
#include <limits>

#include "tests/autograd/attention_draws.hpp"

namespace folio::testing::attention {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

TEST(FOLIO_NON_FINITE_SUITE, AnEarlierOutputHasTheSameBitsWhateverALaterTokenHolds) {
  in_every_way([](DType dtype) {
    const Tensors x = draw(1, dtype);
    const Tensor y = attend(placed(x));
    for (const std::int64_t t : {1, 63, 64, 100, 149}) {
      for (const double value : {0.0, 1e30, infinity, -infinity, not_a_number}) {
        for (std::size_t i = 0; i < x.size(); ++i) {
          Tensors other = x;
          other[i] = changed(x[i], t, value);
          ASSERT_EQ(tokens_of(attend(placed(other)), 0, t), tokens_of(y, 0, t))
              << "input " << i << " token " << t << " = " << value;
        }
      }
    }
  });
}

TEST(FOLIO_NON_FINITE_SUITE, WhatIsNotFiniteReachesEveryOutputThatSeesIt) {
  in_every_way([](DType dtype) {
    const Tensors x = draw(2, dtype);
    for (const double value : {infinity, -infinity, not_a_number}) {
      for (std::size_t i = 0; i < x.size(); ++i) {
        Tensors other = x;
        other[i] = changed(x[i], 70, value);
        const Tensor y = attend(placed(other));
        for (double v : tokens_of(y, 70, i == 0 ? 71 : tokens)) ASSERT_TRUE(std::isnan(v)) << "input " << i;
        if (i == 0) {
          for (double v : tokens_of(y, 71, tokens)) ASSERT_TRUE(std::isfinite(v));
        }
      }
    }
  });
}

TEST(FOLIO_NON_FINITE_SUITE, AGradientThatIsNotFiniteReachesOnlyWhatItsOutputSaw) {
  in_every_way([](DType dtype) {
    const Tensors x = draw(5, dtype);
    const Tensor dy = changed(ones({batch, tokens, heads, out}, {dtype}), 70, not_a_number);
    const Tensors dx = gradients(placed(x), dy.to(under_test::device));
    for (const Tensor& g : dx) {
      for (double v : tokens_of(g, 70, 71)) ASSERT_TRUE(std::isnan(v));
      for (double v : tokens_of(g, 71, tokens)) ASSERT_TRUE(std::isfinite(v));
    }
  });
}

TEST(FOLIO_NON_FINITE_SUITE, OneQueryHasNoAnswerWhereItSeesWhatIsNotFinite) {
  in_every_way([](DType dtype) {
    for (const double value : {infinity, -infinity, not_a_number}) {
      for (std::size_t i = 0; i < 7; ++i) {
        Tensors x = draw_latents(16, 6, true, dtype);
        const bool first_head = i == 0;
        const std::int64_t t = i < 4 ? 30 : past - 1;
        const Tensor where = first_head ? x[0].slice(2, 0, 1) : x[1 + (i - 1) % 3].slice(1, t, t + 1);
        where.slice(-1, 0, 1).fill(value);
        const Tensor y = attend(for_all_heads(placed(x)), past - 1);
        for (double each : y.slice(2, 0, 1).to_vector())
          ASSERT_TRUE(std::isnan(each)) << "input " << i << ": " << value;
        for (double each : y.slice(2, 1, 6).to_vector()) ASSERT_EQ(std::isnan(each), !first_head) << "input " << i;
      }
    }
  });
}

/// The scores of all keys but the last are −∞, though no factor is: whole tiles of them, on a GPU.
TEST(FOLIO_NON_FINITE_SUITE, AScoreOfFiniteFactorsThatOverflowsWeighsNothingBesideALaterOne) {
  for (const std::int64_t keys : {2, 41, 100}) {
    for (const bool many : {false, true}) {
      Tensors x = {full({1, many ? keys : 1, 1, 1}, 1e20), full({1, keys, 1, 1}, -1e20), zeros({1, keys, 1, 1})};
      x[1].slice(1, keys - 1, keys).fill(0);
      x[2].slice(1, keys - 1, keys).fill(2);
      x = placed(x);
      for (Tensor& each : x) each.requires_grad(true);
      Tape tape;
      const Tensor y = causal_attention(x[0], x[1], x[2], {}, 1, many ? 0 : keys - 1);
      const std::vector<double> got = y.to_vector();
      EXPECT_EQ(got.back(), 2) << keys << " keys";
      for (std::size_t t = 0; t + 1 < got.size(); ++t) ASSERT_TRUE(std::isnan(got[t])) << "sees −∞ alone";
      if (many) continue;  // with a query that has no answer, no key has a gradient
      tape.backward(y, ones(y.shape(), y.options()));
      for (std::size_t i = 0; i < x.size(); ++i) {
        std::vector<double> dx = x[i].grad().to_vector();
        if (i == 2) dx.back() -= 1;  // the value that is the answer
        for (double each : dx) ASSERT_NEAR(each, 0, 1e-6) << "input " << i;
      }
    }
  }
}

}  // namespace
}  // namespace folio::testing::attention
