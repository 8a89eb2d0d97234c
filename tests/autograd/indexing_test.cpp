// What indexing, softmax, cross-entropy and routing say about bad, empty and infinite input.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "autograd/autograd.hpp"
#include "tests/error_of.hpp"

namespace folio::testing {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

Tensor indices(std::initializer_list<std::int32_t> values) {
  return from_indices(std::vector<std::int32_t>(values), {static_cast<std::int64_t>(values.size())});
}

}  // namespace

TEST(Indexing, AnIndexOutOfRangeIsAnErrorThatNamesItAndTheTable) {
  const Tensor table = zeros({5, 4});
  for (std::int32_t bad : {-1, 5}) {
    const std::string index = "index " + std::to_string(bad);
    const std::string message = error_of([&] { embedding(table, indices({0, bad})); });
    EXPECT_TRUE(contains(message, index) && contains(message, "(5, 4)") && contains(message, "position 1")) << message;
    EXPECT_TRUE(contains(error_of([&] { index_add(table, indices({bad}), zeros({1, 4})); }), index));
    EXPECT_TRUE(contains(error_of([&] { gather(table, 0, indices({bad}).reshape({1, 1})); }), index));
    EXPECT_TRUE(contains(error_of([&] { route(indices({bad}).reshape({1, 1}), 5); }), index));
  }
  EXPECT_TRUE(
      contains(error_of([&] { embedding(table, full({1}, 4294967296.0, {DType::int64})); }), "index 4294967296"));
}

TEST(Indexing, BadShapesAreErrorsThatNameTheOp) {
  EXPECT_TRUE(contains(error_of([] {
                         concat({zeros({2, 3}), zeros({3, 2})}, 0);
                       }),
                       "concat: float32 (2, 3) and float32 (3, 2)"));
  EXPECT_TRUE(contains(error_of([] { split(zeros({2, 5}), {2, 2}, 1); }), "split: pieces (2, 2)"));
  EXPECT_TRUE(contains(error_of([] { split(zeros({2, 5}), {4, 2}, 1); }), "split: pieces (4, 2)"));
  EXPECT_TRUE(contains(error_of([] {
                         cross_entropy(zeros({2, 5}), indices({0, 0, 0}));
                       }),
                       "cross_entropy: logits (2, 5)"));
  EXPECT_TRUE(contains(error_of([] {
                         expert_matmul(zeros({2, 3}), zeros({2, 4, 3}), indices({0, 1}));
                       }),
                       "expert_matmul: x (2, 3)"));
  const auto with_offsets = [](std::initializer_list<std::int32_t> offsets) {
    return error_of([&] { expert_matmul(zeros({2, 3}), zeros({2, 4, 3}), indices(offsets)); });
  };
  const std::string rise = "expert_matmul: offsets must rise from 0 to the 2 rows; they ";
  EXPECT_EQ(with_offsets({0, 3, 2}), rise + "fall from 3 to 2 at position 2");
  EXPECT_EQ(with_offsets({0, 1, 1}), rise + "go from 0 to 1");
  EXPECT_EQ(with_offsets({1, 1, 2}), rise + "go from 1 to 2");
  for (const double eps : {-1e-6, nan, infinity}) {
    EXPECT_TRUE(contains(error_of([&] { rms_norm(ones({2, 3}), ones({3}), eps); }), "rms_norm: eps is ")) << eps;
  }
}

TEST(Indexing, DuplicatesAddInOrder) {
  const Tensor y = index_add(tensor({1}), indices({0, 0, 0}), tensor({1e8, -1e8, 0.25}));
  EXPECT_EQ(y.item(), 1.25);  // 1 + ((1e8 − 1e8) + 0.25); 1 + 1e8 is 1e8 in float32, and so is 1e8 + 0.25
}

TEST(Softmax, StatesWhatInfinitiesGive) {
  const Options options = {DType::float64};
  const Tensor masked = tensor({-infinity, 0, 0, -infinity}, options);
  EXPECT_EQ(softmax(masked).to_vector(), (std::vector<double>{0, 0.5, 0.5, 0}));
  EXPECT_EQ(log_softmax(masked).to_vector()[0], -infinity);
  EXPECT_EQ(softmax(masked.to(DType::float32)).to_vector(), (std::vector<double>{0, 0.5, 0.5, 0}));
  EXPECT_EQ(softmax(tensor({1e300, 0}, options)).to_vector(), (std::vector<double>{1, 0}));
  for (double bad : {nan, infinity}) {
    for (double v : softmax(tensor({0, bad, 1}, options)).to_vector()) EXPECT_TRUE(std::isnan(v));
    for (double v : log_softmax(tensor({0, bad, 1}, options)).to_vector()) EXPECT_TRUE(std::isnan(v));
    EXPECT_TRUE(std::isnan(cross_entropy(tensor({0, bad, 1}, options).reshape({1, 3}), indices({0})).item()));
  }
  for (double v : softmax(full({20}, -infinity)).to_vector()) EXPECT_TRUE(std::isnan(v));
  EXPECT_EQ(softmax(zeros({3, 0})).shape(), Shape({3, 0}));
}

TEST(CrossEntropy, OfIgnoredTargetsOnlyIsZeroWithoutGradient) {
  Tensor logits = full({2, 3}, nan);
  logits.requires_grad(true);
  Tape tape;
  const Tensor loss = cross_entropy(logits, indices({-100, -100}));
  EXPECT_EQ(loss.item(), 0);
  tape.backward(loss);
  EXPECT_EQ(logits.grad().to_vector(), std::vector<double>(6, 0.0));
}

TEST(CrossEntropy, ATargetOutsideTheClassesIsAnError) {
  for (std::int32_t bad : {-1, 3}) {
    const std::string message = error_of([&] { cross_entropy(zeros({2, 3}), indices({0, bad})); });
    EXPECT_TRUE(contains(message, "target " + std::to_string(bad) + " at position 1") && contains(message, "(2, 3)"))
        << message;
  }
}

TEST(Route, SortsByExpertThenTokenThenRank) {
  const Routing r = route(indices({2, 0, 0, 2, 2, 0}).reshape({3, 2}), 4);
  EXPECT_EQ(r.offsets.to_vector(), (std::vector<double>{0, 3, 3, 6, 6}));
  EXPECT_EQ(r.token_of_row.to_vector(), (std::vector<double>{0, 1, 2, 0, 1, 2}));
  EXPECT_EQ(r.row_of.to_vector(), (std::vector<double>{3, 0, 1, 4, 5, 2}));
}

TEST(Route, AcceptsNoTokens) {
  const Routing r = route(from_indices({}, {0, 2}), 3);
  EXPECT_EQ(r.offsets.to_vector(), (std::vector<double>{0, 0, 0, 0}));
  const Tensor rows = dispatch_rows(zeros({0, 4}), r);
  EXPECT_EQ(expert_matmul(rows, zeros({3, 5, 4}), r.offsets).shape(), Shape({0, 5}));
  EXPECT_EQ(combine_rows(rows, zeros({0, 2}), r).shape(), Shape({0, 4}));
}

TEST(Route, ARoutingThatNamesARowTwiceIsAnError) {
  Routing r = route(indices({0, 1}).reshape({2, 1}), 2);
  r.row_of = indices({1, 1}).reshape({2, 1});
  EXPECT_TRUE(contains(error_of([&] {
                         dispatch_rows(zeros({2, 3}), r);
                       }),
                       "dispatch_rows: row_of (2, 1) names row 1 twice"));
  EXPECT_TRUE(contains(error_of([&] { combine_rows(zeros({2, 3}), zeros({2, 1}), r); }), "combine_rows: row_of"));
}

TEST(ExpertMatmul, ExpertsWithoutRowsHaveExactlyZeroGradient) {
  Generator g(3);
  Tensor weight = randn({3, 5, 4}, g);
  weight.requires_grad(true);
  Tape tape;
  tape.backward(sum(expert_matmul(randn({6, 4}, g), weight, indices({0, 2, 2, 6}))));
  const Tensor unused = weight.grad().slice(0, 1, 2);
  EXPECT_EQ(unused.to_vector(), std::vector<double>(20, 0.0));
}

}  // namespace folio::testing
