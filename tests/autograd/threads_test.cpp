// Any number of threads gives the same bits. A program of its own, run alone: it sets the number for the whole process.
#include <gtest/gtest.h>

#include <cstring>

#include "autograd/settings.hpp"
#include "autograd/threads.hpp"
#include "tests/autograd/op_case.hpp"

namespace folio::testing {
namespace {

/// Outputs and gradients under a fixed cotangent.
Tensors run(const Function& f, const Tensors& inputs) {
  Tensors arguments;
  for (const Tensor& x : inputs) {
    arguments.push_back(x.clone());
    if (is_float(x.dtype())) arguments.back().requires_grad(true);
  }
  Tape tape;
  Tensors results = f(arguments), roots, cotangents;
  Generator generator(1);
  for (const Tensor& y : results) {
    if (!y.requires_grad()) continue;
    roots.push_back(y);
    cotangents.push_back(randn(y.shape(), generator, y.options()));
  }
  tape.backward(roots, cotangents);
  for (const Tensor& x : arguments) {
    if (x.grad().defined()) results.push_back(x.grad());
  }
  return results;
}

bool same_bits(const Tensor& a, const Tensor& b) {
  const Tensor x = a.clone(), y = b.clone();
  return x.shape() == y.shape() && std::memcmp(x.storage()->data(), y.storage()->data(), x.storage()->bytes()) == 0;
}

void expect_same_bits_with(GemmProvider provider, const std::string& name, const Function& f, const Tensors& inputs) {
  set_gemm_provider(provider);
  const int before = num_threads();
  set_num_threads(1);
  const Tensors alone = run(f, inputs);
  for (int threads : {2, 3, 8}) {
    set_num_threads(threads);
    const Tensors together = run(f, inputs);
    ASSERT_EQ(alone.size(), together.size()) << name;
    for (std::size_t i = 0; i < alone.size(); ++i) {
      EXPECT_TRUE(same_bits(alone[i], together[i]))
          << name << ": result " << i << " at " << threads << " threads with " << name_of(provider);
    }
  }
  set_num_threads(before);
}

void expect_same_bits(const std::string& name, const Function& f, const Tensors& inputs) {
  for (GemmProvider provider : gemm_providers()) expect_same_bits_with(provider, name, f, inputs);
}

Tensors converted(const Tensors& xs, DType dtype) {
  Tensors all;
  for (const Tensor& x : xs) all.push_back(is_float(x.dtype()) ? x.to(dtype) : x);
  return all;
}

}  // namespace

TEST(Threads, RefusesNumbersThatTheSystemCannotGive) {
  const int before = num_threads();
  for (int threads : {-1, 0, 100'000, 2'147'483'647}) EXPECT_THROW(set_num_threads(threads), Error) << threads;
  EXPECT_EQ(num_threads(), before);
}

TEST(Threads, EveryOpGivesTheSameBitsForAnyNumber) {
  for (const OpCase& c : all_cases()) {
    std::uint64_t seed = 0;
    for (const DType dtype : {DType::float64, DType::float32, DType::bfloat16, DType::float16}) {
      Draw draw(seed++, 24);
      const Problem p = c.draw(draw);
      expect_same_bits(c.op + (" " + p.description), p.f, converted(p.inputs, dtype));
    }
  }
}

// Large enough that every kernel cuts its work into several tasks.
void expect_same_bits_of_large_ops(DType dtype) {
  Generator g(7);
  Draw draw(7);
  const auto normal = [&](const Shape& shape) { return randn(shape, g, {dtype}); };
  expect_same_bits("matmul", [](const Tensors& t) -> Tensors { return {matmul(t[0], t[1])}; },
                   {normal({2, 700, 300}), normal({300, 500})});
  expect_same_bits("linear", [](const Tensors& t) -> Tensors { return {linear(t[0], t[1])}; },
                   {normal({2, 600, 384}), normal({520, 384})});
  expect_same_bits("sum over rows", [](const Tensors& t) -> Tensors { return {sum(t[0], {0})}; },
                   {normal({3000, 100})});
  expect_same_bits("sum along rows", [](const Tensors& t) -> Tensors { return {sum(t[0], {1})}; },
                   {normal({3000, 100})});
  expect_same_bits("sum of all", [](const Tensors& t) -> Tensors { return {sum(t[0])}; }, {normal({3000, 100})});
  expect_same_bits("softmax", [](const Tensors& t) -> Tensors { return {softmax(t[0])}; }, {normal({2000, 65})});
  expect_same_bits("wide log_softmax", [](const Tensors& t) -> Tensors { return {log_softmax(t[0])}; },
                   {normal({8, 49152})});
  expect_same_bits("cross_entropy", [](const Tensors& t) -> Tensors { return {cross_entropy(t[0], t[1])}; },
                   {normal({4096, 65}), draw.indices({4096}, 65)});
  expect_same_bits("wide cross_entropy",
                   [](const Tensors& t) -> Tensors { return {cross_entropy(t[0], t[1], {.label_smoothing = 0.1})}; },
                   {normal({8, 49152}), draw.indices({8}, 49152)});
  expect_same_bits("embedding", [](const Tensors& t) -> Tensors { return {embedding(t[0], t[1])}; },
                   {normal({65, 384}), draw.indices({4, 512}, 65)});
  expect_same_bits("index_add", [](const Tensors& t) -> Tensors { return {index_add(t[0], t[1], t[2])}; },
                   {normal({300, 384}), draw.indices({2000}, 3), normal({2000, 384})});
  expect_same_bits("gather", [](const Tensors& t) -> Tensors { return {gather(t[0], 1, t[1])}; },
                   {normal({40, 20, 100}), draw.indices({40, 30, 100}, 20)});
  expect_same_bits("rms_norm", [](const Tensors& t) -> Tensors { return {rms_norm(t[0], t[1])}; },
                   {normal({3000, 96}), normal({96})});
  expect_same_bits("rope", [](const Tensors& t) -> Tensors { return {rope(t[0], {.skip = 16})}; },
                   {normal({2, 500, 6, 48})});
  expect_same_bits("swiglu", [](const Tensors& t) -> Tensors { return {swiglu(t[0], t[1])}; },
                   {normal({700, 300}), normal({700, 300})});
  expect_same_bits("dropout",
                   [](const Tensors& t) -> Tensors {
                     return {dropout(t[0], 0.3, RandomStream{5, 0})};
                   },
                   {normal({700, 300})});
  for (const int dim : {0, 1}) {
    expect_same_bits("max", [=](const Tensors& t) -> Tensors { return {max(t[0], dim).first}; }, {normal({900, 500})});
    expect_same_bits("min", [=](const Tensors& t) -> Tensors { return {min(t[0], dim).first}; }, {normal({900, 500})});
  }
  expect_same_bits("top_k", [](const Tensors& t) -> Tensors { return {top_k(t[0], 6).first}; }, {normal({4000, 64})});
  for (const Score score : {Score::sigmoid, Score::softmax, Score::sqrt_softplus}) {
    const GateOptions by_groups = {.k = 6, .score = score, .n_group = 8, .topk_group = 3};
    expect_same_bits("choose_experts",
                     [&](const Tensors& t) -> Tensors {
                       const Gating g = choose_experts(
                           t[0], zeros({64}, {is_half(t[0].dtype()) ? DType::float32 : t[0].dtype()}), by_groups);
                       return {g.scores, g.weights};
                     },
                     {normal({4000, 64})});
  }
  expect_same_bits("log_softmax", [](const Tensors& t) -> Tensors { return {log_softmax(t[0])}; },
                   {normal({2000, 65})});
  expect_same_bits("causal_attention",
                   [](const Tensors& t) -> Tensors { return {causal_attention(t[0], t[1], t[2], t[3], 0.2)}; },
                   {normal({2, 200, 4, 32}), normal({2, 200, 4, 24}), normal({2, 200, 4, 24}), normal({2, 200, 8})});
  // What decoding does: products of a vector, and attention of one query by heads with latents in common, then by others.
  expect_same_bits("linear of one row", [](const Tensors& t) -> Tensors { return {linear(t[0], t[1])}; },
                   {normal({1, 384}), normal({1030, 384})});
  expect_same_bits("matmul of one row", [](const Tensors& t) -> Tensors { return {matmul(t[0], t[1])}; },
                   {normal({1, 384}), normal({384, 1030})});
  expect_same_bits("attention of one query",
                   [](const Tensors& t) -> Tensors {
                     const Tensor latents = t[1].reshape({2, 300, 1, 96}).expand({2, 300, 6, 96});
                     return {causal_attention(t[0], latents, latents, {}, 0.2, 299),
                             causal_attention(t[0], t[2], t[2], {}, 0.2, 299)};
                   },
                   {normal({2, 1, 6, 96}), normal({2, 300, 96}), normal({2, 300, 6, 96})});
  const Tensor chosen = draw.indices({1500, 2}, 8);
  expect_same_bits("expert_matmul",
                   [&](const Tensors& t) -> Tensors { return {expert_matmul(t[0], t[1], route(chosen, 9).offsets)}; },
                   {normal({3000, 192}), normal({9, 256, 192})});
  expect_same_bits(
      "mixture of experts",
      [&](const Tensors& t) -> Tensors {
        const Routing routing = route(chosen, 9);
        return {combine_rows(expert_matmul(dispatch_rows(t[0], routing), t[1], routing.offsets), t[2], routing)};
      },
      {normal({1500, 192}), normal({9, 256, 192}), normal({1500, 2})});
}

TEST(Threads, LargeOpsGiveTheSameBitsForAnyNumber) { expect_same_bits_of_large_ops(DType::float32); }
TEST(Threads, LargeOpsOf16BitFloatsGiveTheSameBitsForAnyNumber) { expect_same_bits_of_large_ops(DType::bfloat16); }

}  // namespace folio::testing
