#include <gtest/gtest.h>

#include <iostream>

#include "autograd/autograd.hpp"

using namespace folio;

TEST(Tape, GradientOfASumOfSquares) {
  Tensor x = tensor({1, 2, 3});
  x.requires_grad(true);
  Tape tape;
  const Tensor y = sum(x * x);
  tape.backward(y);
  EXPECT_EQ(x.grad().to_vector(), (std::vector<double>{2, 4, 6}));
  EXPECT_EQ(live_entries(), 0U);
  EXPECT_THROW(tape.backward(y), Error);
}

TEST(Gradcheck, AcceptsAComposition) {
  Generator g(1);
  const auto f = [](const Tensors& x) -> Tensors {
    return {matmul(exp(x[0]), x[1].transpose(0, 1)) / (x[2] * x[2] + 1.0)};
  };
  const auto report = gradcheck(
      f, {randn({3, 4}, g, {DType::float64}), randn({5, 4}, g, {DType::float64}), randn({5}, g, {DType::float64})},
      {.jacobian = true});
  std::cout << report << "\n";
  EXPECT_TRUE(report);
}
