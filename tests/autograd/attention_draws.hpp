#pragma once
// What the tests of attention draw and compare. On the emulator, which takes its time, fewer heads.
#include <cstdint>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "autograd/autograd.hpp"
#include "tests/cuda/ops/under_test.hpp"
#include "tests/using_provider.hpp"

namespace folio::testing::attention {

inline const bool on_cpu = under_test::device == Device::cpu;
inline const std::int64_t batch = on_cpu ? 2 : 1, heads = on_cpu ? 3 : 2;
constexpr std::int64_t tokens = 150, own = 8, rope_width = 4, out = 10;  // three blocks of queries
constexpr std::int64_t past = 71;

inline Tensors draw(std::uint64_t seed, DType dtype = DType::float32, std::int64_t queries = tokens,
                    std::int64_t keys = tokens) {
  Generator g(seed);
  return {randn({batch, queries, heads, own + rope_width}, g, {dtype}), randn({batch, keys, heads, own}, g, {dtype}),
          randn({batch, keys, heads, out}, g, {dtype}), randn({batch, keys, rope_width}, g, {dtype})};
}

/// A query for each head, keys, values and shared keys. Values, and maybe keys, are one for all heads: for_all_heads.
inline Tensors draw_latents(std::uint64_t seed, std::int64_t heads_count, bool one_key, DType dtype,
                            std::int64_t keys = past) {
  Generator g(seed);
  return {randn({batch, 1, heads_count, own + rope_width}, g, {dtype}),
          randn({batch, keys, one_key ? 1 : heads_count, own}, g, {dtype}), randn({batch, keys, 1, out}, g, {dtype}),
          randn({batch, keys, rope_width}, g, {dtype})};
}
inline Tensors for_all_heads(const Tensors& x) {
  const std::int64_t heads_count = x[0].dim(2), keys = x[1].dim(1);
  return {x[0], x[1].expand({batch, keys, heads_count, own}), x[2].expand({batch, keys, heads_count, out}), x[3]};
}

/// The same on the device under test.
inline Tensors placed(const Tensors& x) {
  Tensors there;
  for (const Tensor& each : x) there.push_back(each.to(under_test::device));
  return there;
}

inline Tensor attend(const Tensors& x, std::int64_t offset = 0) {
  return causal_attention(x[0], x[1], x[2], x[3], 0.3, offset);
}

/// x with every number of token t set to `value`.
inline Tensor changed(const Tensor& x, std::int64_t t, double value) {
  Tensor y = x.clone();
  y.slice(1, t, t + 1).fill(value);
  return y;
}

/// Gradients of all inputs under the cotangent dy.
inline Tensors gradients(const Tensors& inputs, const Tensor& dy) {
  Tensors leaves;
  for (const Tensor& x : inputs) leaves.push_back(x.clone().requires_grad(true));
  Tape tape;
  tape.backward(attend(leaves), dy);
  Tensors all;
  for (const Tensor& x : leaves) all.push_back(x.grad());
  return all;
}

inline std::vector<double> tokens_of(const Tensor& x, std::int64_t begin, std::int64_t end) {
  return x.slice(1, begin, end).to_vector();
}

/// Calls f(dtype) with every float of up to 32 bits, on the CPU under every provider of products.
template <class F>
void in_every_way(F&& f) {
  for (const GemmProvider provider : gemm_providers()) {
    if (!on_cpu && provider != gemm_provider()) continue;
    const Using it(provider);
    for (const DType dtype : {DType::float32, DType::bfloat16, DType::float16}) {
      SCOPED_TRACE(std::string(name_of(dtype)) + " by " + name_of(provider));
      f(dtype);
    }
  }
}

}  // namespace folio::testing::attention
