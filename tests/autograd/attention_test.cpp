#include <gtest/gtest.h>

#include <string>

#include "autograd/fault.hpp"
#include "autograd/threads.hpp"
#include "tests/autograd/attention_draws.hpp"
#include "tests/relative_distance.hpp"

using namespace folio;
using namespace folio::testing::attention;

/// By how much rounding a number moves it, at most; in float32, in which answers are sums, by how much rounding those does.
static double half_a_step(DType dtype) {
  if (dtype == DType::float32) return 1e-6;
  return dtype == DType::bfloat16 ? 0x1p-8 : 0x1p-11;
}

TEST(CausalAttention, AnOutputHasNoGradientForALaterToken) {
  in_every_way([](DType dtype) {
    const Tensors x = draw(3, dtype);
    for (const std::int64_t t : {0, 63, 64, 149}) {
      Generator g(4);
      Tensor dy = zeros({batch, tokens, heads, out}, {dtype});
      dy.slice(1, t, t + 1).copy_from(randn({batch, 1, heads, out}, g, {dtype}));
      const Tensors dx = gradients(x, dy);
      for (std::size_t i = 0; i < dx.size(); ++i) {
        for (double v : tokens_of(dx[i], t + 1, tokens)) ASSERT_EQ(v, 0) << "input " << i << " after token " << t;
        bool some = false;
        for (double v : tokens_of(dx[i], 0, t + 1)) some = some || v != 0;
        ASSERT_TRUE(some || (t == 0 && i != 2)) << "input " << i << " token " << t;
      }
    }
  });
}

TEST(CausalAttention, GradcheckCatchesAMaskShiftedByOne) {
  const auto f = [](const Tensors& x) -> Tensors { return {attend(x)}; };
  const Tensors x = draw(6, DType::float64, 5, 5);
  EXPECT_TRUE(gradcheck(f, x));
  fault::armed = fault::Point::shift_mask;
  EXPECT_FALSE(gradcheck(f, x));
  fault::armed = fault::Point::none;
}

TEST(CausalAttention, AnyNumberOfThreadsGivesTheSameBits) {
  const Tensors x = draw(7);
  Generator g(8);
  const Tensor dy = randn({batch, tokens, heads, out}, g);
  const int before = num_threads();
  std::vector<std::vector<double>> first;
  for (const int threads : {1, 2, 3, 8}) {
    set_num_threads(threads);
    std::vector<std::vector<double>> all = {attend(x).to_vector()};
    for (const Tensor& dx : gradients(x, dy)) all.push_back(dx.to_vector());
    if (first.empty()) first = all;
    EXPECT_TRUE(all == first) << threads << " threads";
  }
  set_num_threads(before);
}

TEST(CausalAttention, In16BitsIsThatInFloat32ToARoundingOfProbabilitiesAndResults) {
  constexpr std::int64_t wide_out = 70;
  for (const DType dtype : {DType::bfloat16, DType::float16}) {
    const double most = half_a_step(dtype);
    Tensors x = draw(1, dtype);
    Generator g(2);
    x[2] = randn({batch, tokens, heads, wide_out}, g, {dtype});
    const Tensor dy = randn({batch, tokens, heads, wide_out}, g, {dtype});
    Tensors wide;
    for (const Tensor& t : x) wide.push_back(t.to(DType::float32));
    const Tensors exact = gradients(wide, dy.to(DType::float32));
    for (const GemmProvider provider : gemm_providers()) {
      SCOPED_TRACE(std::string(name_of(dtype)) + " by " + name_of(provider));
      const folio::testing::Using it(provider);
      EXPECT_LT(folio::testing::relative_distance(attend(x).to_vector(), attend(wide).to_vector()), most);
      const Tensors dx = gradients(x, dy);
      for (std::size_t i = 0; i < dx.size(); ++i) {
        EXPECT_LT(folio::testing::relative_distance(dx[i].to_vector(), exact[i].to_vector()), most) << i;
      }
    }
  }
}

/// Of scores far apart, of which a softmax must take out the largest.
TEST(CausalAttention, AScaleBelowZeroIsThatOfQueriesTurnedOver) {
  for (const std::int64_t queries : {tokens, std::int64_t{1}}) {
    const std::int64_t offset = tokens - queries;
    Tensors x = draw(16, DType::float32, queries), turned = x;
    turned[0] = negate(x[0]);
    Tensors leaves, of_turned;
    for (const Tensor& each : x) leaves.push_back(each.clone().requires_grad(true));
    for (const Tensor& each : turned) of_turned.push_back(each.clone().requires_grad(true));
    Generator g(17);
    const Tensor dy = randn({batch, queries, heads, out}, g);
    const auto run = [&](const Tensors& in, double scale) {
      Tape tape;
      const Tensor y = causal_attention(in[0], in[1], in[2], in[3], scale, offset);
      tape.backward(y, dy);
      return y.to_vector();
    };
    EXPECT_EQ(run(leaves, -20), run(of_turned, 20)) << queries << " queries";
    for (std::size_t i = 0; i < x.size(); ++i) {
      const Tensor there = i == 0 ? negate(of_turned[i].grad()) : of_turned[i].grad();
      EXPECT_EQ(leaves[i].grad().to_vector(), there.to_vector()) << queries << " queries, input " << i;
    }
  }
}

TEST(CausalAttention, ReadsHeadsOfAWiderTensorInPlace) {
  Generator g(9);
  const Tensors x = draw(10);
  const Tensor wide = randn({batch, tokens, heads, own + out}, g);  // [k | v] per head, as kv_b makes them
  const Tensor k = wide.slice(3, 0, own), v = wide.slice(3, own, own + out);
  EXPECT_EQ(attend({x[0], k, v, x[3]}).to_vector(), attend({x[0], k.clone(), v.clone(), x[3]}).to_vector());
  const Tensor q = x[0].transpose(1, 2).clone().transpose(1, 2);  // (B, H, T, width) in memory
  EXPECT_EQ(attend({q, k, v, x[3]}).to_vector(), attend({x[0], k, v, x[3]}).to_vector());
}

TEST(CausalAttention, ReadsExpandedTensorsAndAnExpandedCotangentAsTheirPackedCopies) {
  const Tensors x = draw(13);
  Tensors expanded, packed;
  for (const Tensor& each : x) {
    expanded.push_back(each.slice(1, 0, 1).expand(each.shape()));  // stride 0 from token to token
    packed.push_back(expanded.back().clone());
  }
  const std::vector<double> got = attend(expanded).to_vector(), wanted = attend(packed).to_vector();
  for (std::size_t i = 0; i < wanted.size(); ++i) ASSERT_NEAR(got[i], wanted[i], 1e-5);
  Generator g(14);
  const Tensor dy = randn({batch, 1, heads, out}, g).expand({batch, tokens, heads, out});  // as mean over tokens gives
  const Tensors some = gradients(x, dy), all = gradients(x, dy.clone());
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::vector<double> a = some[i].to_vector(), b = all[i].to_vector();
    for (std::size_t j = 0; j < b.size(); ++j) ASSERT_NEAR(a[j], b[j], 1e-5) << "input " << i;
  }
}

TEST(CausalAttention, TheLastQueriesAloneSeeWhatTheySawAmongAll) {
  const Tensors x = draw(11, DType::float64);
  const std::vector<double> all = tokens_of(attend(x), 140, tokens);
  const std::vector<double> last = attend({x[0].slice(1, 140, tokens), x[1], x[2], x[3]}, 140).to_vector();
  for (std::size_t i = 0; i < all.size(); ++i) ASSERT_NEAR(all[i], last[i], 1e-13);
}

TEST(CausalAttention, OneQueryOfHeadsThatShareKeysAndValuesIsThatOfHeadsWithCopies) {
  in_every_way([](DType dtype) {
    const double most = half_a_step(dtype);
    for (std::int64_t h = 1; h <= 9; ++h) {
      for (const bool one_key : {true, false}) {
        const Tensors x = for_all_heads(draw_latents(15, h, one_key, dtype));
        const Tensors copies = {x[0], x[1].clone(), x[2].clone(), x[3]};
        const std::vector<double> y = attend(x, past - 1).to_vector();
        EXPECT_LT(folio::testing::relative_distance(y, attend(copies, past - 1).to_vector()), most) << h;
        Tensors all = copies;  // the same query among as many as there are keys
        all[0] = x[0].expand({batch, past, h, own + rope_width}).clone();
        EXPECT_LT(folio::testing::relative_distance(y, tokens_of(attend(all), past - 1, past)), most) << h;
      }
    }
  });
}

TEST(CausalAttention, OneQueryOfHeadsThatShareKeysAndValuesHasTheGradientsOfHeadsWithCopies) {
  in_every_way([](DType dtype) {
    const double most = 2 * half_a_step(dtype);
    for (std::int64_t h = 1; h <= 9; ++h) {
      const auto run = [&](bool copies) {
        Tensors leaves;
        for (Tensor& x : draw_latents(18, h, true, dtype)) leaves.push_back(x.requires_grad(true));
        Tape tape;
        Tensors x = for_all_heads(leaves);
        if (copies) x = {x[0], x[1].contiguous(), x[2].contiguous(), x[3]};
        Generator g(19);
        tape.backward(attend(x, past - 1), randn({batch, 1, h, out}, g, {dtype}));
        Tensors all;
        for (const Tensor& leaf : leaves) all.push_back(leaf.grad());
        return all;
      };
      const Tensors shared = run(false), copied = run(true);
      for (std::size_t i = 0; i < shared.size(); ++i) {
        EXPECT_LT(folio::testing::relative_distance(shared[i].to_vector(), copied[i].to_vector()), most)
            << h << " heads, input " << i;
      }
    }
  });
}

/// So long that heads are divided among threads.
TEST(CausalAttention, OneLongQueryOfHeadsThatShareKeysAndValuesIsThatOfHeadsWithCopies) {
  in_every_way([](DType dtype) {
    const double most = half_a_step(dtype);
    for (const std::int64_t keys : {2501, 9001}) {
      const Tensors x = for_all_heads(draw_latents(20, 6, true, dtype, keys));
      const Tensors copies = {x[0], x[1].clone(), x[2].clone(), x[3]};
      EXPECT_LT(
          folio::testing::relative_distance(attend(x, keys - 1).to_vector(), attend(copies, keys - 1).to_vector()),
          most)
          << keys << " keys";
    }
  });
}

TEST(CausalAttention, TakesZeroSizesAndRefusesWhatDoesNotFit) {
  const Tensors x = draw(12);
  const Tensor none = empty({batch, 0, heads, own + rope_width});
  EXPECT_EQ(attend({none, x[1], x[2], x[3]}, tokens).numel(), 0);
  EXPECT_THROW(attend(x, 1), Error);
  EXPECT_THROW(causal_attention(x[0], x[1], x[2], {}, 1), Error);
  EXPECT_THROW(attend({x[0], x[1], x[2].slice(2, 0, 1), x[3]}), Error);
}
