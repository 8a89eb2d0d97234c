// Attention keeps no scores: forward and backward need memory in proportion to the length. On the CPU, and on the CUDA
// device that it is linked with; CMake names the suite, which is AttentionMemory or CudaAttentionMemory.
#include <gtest/gtest.h>

#include "autograd/autograd.hpp"
#include "tests/cuda/ops/under_test.hpp"

namespace folio {
namespace {

constexpr std::int64_t step = 128;  // whole tiles of every backend

/// The most bytes held at once by attention over `tokens` tokens and its gradients, beyond its inputs.
std::size_t peak_of(std::int64_t tokens) {
  const Device device = under_test::device;
  Generator g(1);
  Tensors x = {
      randn({1, tokens, 2, 12}, g, {DType::float32, device}), randn({1, tokens, 2, 8}, g, {DType::float32, device}),
      randn({1, tokens, 2, 8}, g, {DType::float32, device}), randn({1, tokens, 4}, g, {DType::float32, device})};
  for (Tensor& each : x) each.requires_grad(true);
  const Tensor dy = randn({1, tokens, 2, 8}, g, {DType::float32, device});
  const std::size_t before = memory_statistics(device).live;
  reset_peak_memory(device);
  Tape tape;
  tape.backward(causal_attention(x[0], x[1], x[2], x[3], 0.3), dy);
  return memory_statistics(device).peak - before;
}

TEST(FOLIO_ATTENTION_SUITE, IsInProportionToTheLength) {
  peak_of(step);  // what is kept from call to call
  const std::size_t one = peak_of(step), two = peak_of(2 * step), four = peak_of(4 * step);
  EXPECT_EQ(two - one, one);
  EXPECT_EQ(four - two, 2 * one);
  EXPECT_LT(four, 16 * step * step * sizeof(float)) << "the scores of one head alone";
}

}  // namespace
}  // namespace folio
