#include <gtest/gtest.h>

#include "autograd/autograd.hpp"

namespace folio {
namespace {

TEST(Amax, ReducesSeveralDimensions) {
  Generator g(1);
  const Tensor x = randn({3, 2, 4, 5}, g, {DType::float64});
  const auto reference = max(max(x, 3, true).first, 1, true).first;  // (3, 1, 4, 1)
  EXPECT_EQ(amax(x, {1, -1}, true).shape(), Shape({3, 1, 4, 1}));
  EXPECT_EQ(amax(x, {-1, 1}, true).to_vector(), reference.to_vector());
  EXPECT_EQ(amax(x, {1, 3}).shape(), Shape({3, 4}));
  EXPECT_EQ(amin(x, {0, 2}).to_vector(), (-amax(-x, {0, 2})).to_vector());
  const auto all = x.to_vector();
  EXPECT_EQ(amax(x).item(), *std::max_element(all.begin(), all.end()));
  EXPECT_EQ(amin(x).item(), *std::min_element(all.begin(), all.end()));
}

TEST(Amax, AgreesWithFiniteDifferences) {
  Generator g(2);
  const Tensor x = randn({3, 2, 4}, g, {DType::float64});
  for (const Dims& dims : {Dims{}, Dims{0, 2}, Dims{1}, Dims{0, 1, 2}}) {
    for (bool keep : {false, true}) {
      const auto report =
          gradcheck([&](const Tensors& in) { return Tensors{amax(in[0], dims, keep) * amin(in[0], dims, keep)}; }, {x});
      EXPECT_TRUE(report.passed) << report;
    }
  }
}

TEST(Amax, SendsTheGradientToTheFirstOfEquals) {
  const Tensor x = tensor({2, 5, 5, 1, 5, 0}, {DType::float64}).reshape({3, 2}).requires_grad(true);
  Tape tape;
  tape.backward(amax(x, {0, 1}));
  EXPECT_EQ(x.grad().to_vector(), (std::vector<double>{0, 1, 0, 0, 0, 0}));
}

TEST(Amax, RefusesWhatItCannotReduce) {
  EXPECT_THROW(amax(zeros({2, 3}), {0, -2}), Error);
  EXPECT_THROW(amax(zeros({2, 3}), {2}), Error);
  EXPECT_THROW(amax(zeros({0, 3})), Error);
}

TEST(Shapes, WithTooManyElementsAreRefused) {
  const std::int64_t huge = std::int64_t{1} << 62;
  EXPECT_THROW(empty({huge, 4}), Error);
  EXPECT_THROW(empty({huge}), Error);
  EXPECT_THROW(empty({0, huge, huge}), Error);
}

}  // namespace
}  // namespace folio
