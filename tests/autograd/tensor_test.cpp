#include <cmath>
#include <sstream>

#include "autograd/autograd.hpp"
#include "autograd/memory.hpp"
#include "tests/shares.hpp"

namespace folio::testing {
namespace {

std::string printed(const Tensor& x) {
  std::ostringstream out;
  out << x;
  return out.str();
}

template <class Action>
std::string refusal(Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "accepted";
}

}  // namespace

TEST(Tensor, IsMadeOfDoublesFloatsOrWholeNumbers) {
  EXPECT_EQ(from_vector(std::vector<float>{1.5F, 2}, {2}).to_vector(), (std::vector<double>{1.5, 2}));
  const std::int64_t large = (std::int64_t{1} << 53) + 1;
  EXPECT_EQ(*from_vector(std::vector<std::int64_t>{large}, {1}).ptr<std::int64_t>(), large);
  EXPECT_NE(refusal([] { from_vector(std::vector<float>{1}, {2}); }).find("1 values do not fill shape (2)"),
            std::string::npos);
}

TEST(Tensor, ConvertsToAnIndexTypeWhatItHoldsAndRefusesTheRestByPosition) {
  const double nan = std::nan(""), infinity = INFINITY;
  const auto cast_of = [](std::vector<double> values, DType from, DType to) {
    return refusal([&] { from_vector(values, {std::ssize(values)}, {from}).to(to); });
  };
  for (const double bad : {nan, infinity, -infinity, 0x1p63, -0x1p64}) {
    for (const DType from : {DType::float32, DType::float64}) {
      for (const DType to : {DType::int32, DType::int64}) {
        const std::string text = cast_of({0, 1, bad, bad}, from, to);
        EXPECT_NE(text.find(" at position 2 is no " + std::string(name_of(to))), std::string::npos)
            << bad << ": " << text;
        EXPECT_EQ(text.find("cast: the value "), 0u) << text;
      }
    }
  }
  EXPECT_EQ(cast_of({3e9}, DType::int64, DType::int32),
            "cast: the value 3000000000 at position 0 is no int32: it must be a number in its range");
  EXPECT_NE(cast_of({0x1p31}, DType::float32, DType::int32), "accepted");
  EXPECT_EQ(cast_of({0x1p31}, DType::float32, DType::int64), "accepted");
  const double low = -0x1p31, high = 0x1p31 - 1;
  EXPECT_EQ(tensor({low, high, -1.9, 1.9}, {DType::float64}).to(DType::int32).to_vector(),
            (std::vector<double>{low, high, -1, 1}));
  EXPECT_EQ(from_vector(std::vector<double>{low, high}, {2}, {DType::int64}).to(DType::int32).to_vector(),
            (std::vector<double>{low, high}));

  const Options indices = {DType::int32};
  EXPECT_EQ(refusal([&] { full({2}, 3e9, indices); }),
            "full: the value 3e+09 at position 0 is no int32: it must be a number in its range");
  EXPECT_NE(refusal([&] {
              tensor({1, nan}, indices);
            }).find("from_vector: the value nan at position 1"),
            std::string::npos);
  EXPECT_NE(refusal([&] {
              from_vector(std::vector<std::int64_t>{1, -3'000'000'000}, {2}, indices);
            }).find("position 1"),
            std::string::npos);
  EXPECT_NE(refusal([&] { empty({2}, indices).fill(infinity); }), "accepted");
}

TEST(Tensor, ViewsShareMemoryAndCopiesDoNot) {
  Tensor x = arange(6, {DType::float32}).reshape({2, 3});
  for (const Tensor& view : {x.transpose(0, 1), x.slice(1, 1, 3), x.reshape({3, 2}), x.expand({4, 2, 3})}) {
    EXPECT_EQ(view.storage(), x.storage());
  }
  EXPECT_NE(x.clone().storage(), x.storage());
  EXPECT_NE(x.transpose(0, 1).contiguous().storage(), x.storage());
  x.slice(0, 1, 2).fill(9);
  EXPECT_EQ(x.to_vector(), (std::vector<double>{0, 1, 2, 9, 9, 9}));
}

FOLIO_PROPERTY(Tensor, ReshapesAnyLayoutAsACopyWould) {
  const auto extent = [] { return between(1, 4); };
  Generator random(seed);
  const Tensor base = randn({extent(), extent() + 1, extent()}, random);
  Tensor x = *rc::gen::arbitrary<bool>() ? base.transpose(between(0, 2), between(0, 2)) : base;
  if (*rc::gen::arbitrary<bool>()) x = x.slice(1, 0, (x.dim(1) + 1) / 2);
  const Shape target =
      *rc::gen::element(Shape{-1}, Shape{x.dim(0) * x.dim(1), -1}, Shape{x.dim(0), -1}, Shape{1, -1, x.dim(2)});
  const Tensor y = x.reshape(target);
  shares.note("non-contiguous", !x.is_contiguous(), 40);
  shares.note("that copies", y.storage() != x.storage(), 20);
  shares.note("that views what is not contiguous", !x.is_contiguous() && y.storage() == x.storage(), 5);
  RC_ASSERT(y.to_vector() == x.to_vector());
  RC_ASSERT(y.numel() == x.numel());
}

TEST(Tensor, RefusesToExpandToANegativeExtent) {
  EXPECT_EQ(refusal([] { ones({1}).expand({-1}); }), "expand: float32 (1) does not broadcast to (-1)");
  EXPECT_EQ(refusal([] { ones({3}).expand({-2, 3}); }), "expand: float32 (3) does not broadcast to (-2, 3)");
}

TEST(Tensor, LargerThanMemoryIsAnErrorWithWhatWasAskedFor) {
  for (const Shape& shape : {Shape{std::int64_t{1} << 32, std::int64_t{1} << 32}, Shape{(std::int64_t{1} << 61) - 1}}) {
    EXPECT_NE(refusal([&] { zeros(shape, {DType::float64}); }).find("has too many elements"), std::string::npos);
  }
#ifndef __SANITIZE_ADDRESS__  // whose allocator ends the program
  try {
    zeros({std::int64_t{1} << 50});
    FAIL() << "made";
  } catch (const OutOfMemory& error) {
    EXPECT_NE(error.account.find("out of memory: asked for 4294967296.0 MiB, tensors hold "), std::string::npos)
        << error.account;
  }
#endif
}

TEST(Tensor, PrintsAsAPersonReadsIt) {
  EXPECT_EQ(printed(tensor({1, 2.5, -3})), "[1, 2.5, -3]  float32 (3)");
  EXPECT_EQ(printed(arange(4).reshape({2, 2})), "[[0, 1],\n [2, 3]]  int64 (2, 2)");
  EXPECT_EQ(printed(full({}, 7)), "7  float32 ()");
  EXPECT_EQ(printed(arange(100)), "[0, 1, 2, …, 97, 98, 99]  int64 (100)");
  EXPECT_EQ(printed(Tensor()), "Tensor(undefined)");
}

TEST(Tensor, DrawsTheSameNumbersFromTheSameGenerator) {
  Generator a(5), b(5), c(6);
  const std::vector<double> first = randn({100}, a).to_vector();
  EXPECT_EQ(first, randn({100}, b).to_vector());
  EXPECT_NE(first, randn({100}, a).to_vector()) << "the next stream";
  EXPECT_NE(first, randn({100}, c).to_vector()) << "another seed";
  for (double u : uniform({1000}, a, -2, 3).to_vector()) {
    EXPECT_GE(u, -2);
    EXPECT_LT(u, 3);
  }
}

TEST(Tensor, NamesTheOpAndBothShapesWhenTheyDoNotFit) {
  const Tensor a = ones({2, 3}), b = ones({4, 5});
  for (const std::string& message : {refusal([&] { add(a, b); }), refusal([&] { matmul(a, b); })}) {
    EXPECT_NE(message.find("(2, 3)"), std::string::npos) << message;
    EXPECT_NE(message.find("(4, 5)"), std::string::npos) << message;
  }
  EXPECT_NE(refusal([&] { add(a, b); }).find("add"), std::string::npos);
  EXPECT_NE(refusal([&] { add(a, a.to(DType::float64)); }).find("to(DType)"), std::string::npos);
  EXPECT_NE(refusal([&] { a.reshape({4, 2}); }).find("reshape"), std::string::npos);
  EXPECT_NE(refusal([&] { a.data<double>(); }).find("float64"), std::string::npos);
  EXPECT_NE(refusal([&] { Tensor().shape(); }).find("undefined"), std::string::npos);
  EXPECT_NE(refusal([&] { a.to(Device::cuda); }).find("folio::cuda"), std::string::npos);
}

}  // namespace folio::testing
