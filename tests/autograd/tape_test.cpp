#include <gtest/gtest.h>

#include <iostream>

#include "autograd/autograd.hpp"

using namespace folio;

/// Of more inputs than a record holds in place, too.
TEST(Tape, RecordsAnyNumberOfInputs) {
  for (int count = 1; count <= 7; ++count) {
    Tensors x;
    for (int i = 0; i < count; ++i) x.push_back(full({2}, i).requires_grad(true));
    Tape tape;
    const Tensor y = concat(x, 0);
    tape.backward(y, arange(2 * count).to(DType::float32));
    for (int i = 0; i < count; ++i) {
      EXPECT_EQ(x[static_cast<std::size_t>(i)].grad().to_vector(), (std::vector<double>{2.0 * i, 2.0 * i + 1}));
    }
  }
}

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

// A tied head's gradient is there when the embedding's arrives: no second tensor as large as the table. Then a second
// micro-batch comes.
TEST(Tape, AnEmbeddingAddsToWhatItsTableHasGathered) {
  const Tensor index = from_indices(std::vector<std::int32_t>{4, 1, 4}, {3});
  Generator g(1);
  const Tensor values = randn({1000, 8}, g), other = full({8, 1}, 0.3);
  for (const DType dtype : {DType::float32, DType::bfloat16}) {
    const auto loss_of = [&](const Tensor& table, const Tensor& head) {
      const Tensor x = embedding(table, index), first = sum(x * x);
      return first + sum(matmul(head, other.to(dtype)));
    };
    const auto leaf = [&] { return values.to(dtype).detach().requires_grad(true); };
    Tensor table = leaf(), head = leaf(), tied = leaf();
    std::size_t peak = 0;
    const auto walk = [&](const Tensor& a, const Tensor& b) {
      Tape tape;
      const Tensor loss = loss_of(a, b);
      const std::size_t before = memory_statistics(Device::cpu).live;
      reset_peak_memory(Device::cpu);
      tape.backward(loss);
      peak = memory_statistics(Device::cpu).peak - before;
    };
    walk(table, head);
    walk(tied, tied);
    EXPECT_LT(peak, 3 * tied.storage()->bytes() / 2);
    EXPECT_EQ(tied.grad().to_vector(), (head.grad() + table.grad()).to_vector());
    const Tensor once = tied.grad().clone();
    walk(tied, tied);
    EXPECT_EQ(tied.grad().to_vector(), (once + head.grad() + table.grad()).to_vector());
  }
}

TEST(Tape, AnEmbeddingAddsToATableThatIsNoLeafAndIsReadTwice) {
  const Tensor a = from_indices(std::vector<std::int32_t>{0, 2, 0}, {3});
  const Tensor b = from_indices(std::vector<std::int32_t>{2, 2}, {2});
  Tensor x = ones({3, 2}).requires_grad(true);
  Tape tape;
  const Tensor table = x * 3;
  const Tensor first = sum(embedding(table, a));
  tape.backward(first + sum(embedding(table, b) * 10));
  EXPECT_EQ(x.grad().to_vector(), (std::vector<double>{6, 6, 0, 0, 63, 63}));
}

// Nor is what somebody else holds changed under their hands.
TEST(Tape, AnEmbeddingLeavesAGradientThatIsHeldElsewhereAlone) {
  const Tensor index = from_indices(std::vector<std::int32_t>{1, 1}, {2});
  Tensor table = ones({3, 2}).requires_grad(true);
  const auto walk = [&] {
    Tape tape;
    tape.backward(sum(embedding(table, index)));
  };
  walk();
  const Tensor held = table.grad();
  walk();
  EXPECT_EQ(held.to_vector(), (std::vector<double>{0, 0, 2, 2, 0, 0}));
  EXPECT_EQ(table.grad().to_vector(), (std::vector<double>{0, 0, 4, 4, 0, 0}));
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
