#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "cuda/kernel.hpp"

// The 16-bit floats against the definition of rounding to nearest, ties to even: of the two values around x the nearer,
// or the one with an even last bit.
namespace folio::cuda_emulated {
namespace {

template <typename T>
T from_bits(std::uint16_t bits) {
  T value;
  value.bits = bits;
  return value;
}

/// All finite values in rising order, from their bits: the positive ones count up from 0.
template <typename T>
void check_around(std::uint16_t low) {
  const double a = static_cast<float>(from_bits<T>(low)), b = static_cast<float>(from_bits<T>(low + 1));
  const auto nearest = [](double x) { return T(static_cast<float>(x)).bits; };
  const double middle = a + (b - a) / 2;
  EXPECT_EQ(nearest(a), low);
  EXPECT_EQ(nearest(middle), low % 2 == 0 ? low : low + 1) << "a tie goes to even";
  EXPECT_EQ(nearest(std::nextafter(static_cast<float>(middle), -1.0f)), low);
  EXPECT_EQ(nearest(std::nextafter(static_cast<float>(middle), std::numeric_limits<float>::max())), low + 1);
  EXPECT_EQ(nearest(-middle), 0x8000 | (low % 2 == 0 ? low : low + 1));
  // Within float32's rounding of the middle: only rounding once tells the sides apart.
  EXPECT_EQ(narrow<T>(std::nextafter(middle, 0.0)).bits, low);
  EXPECT_EQ(narrow<T>(std::nextafter(middle, std::numeric_limits<double>::max())).bits, low + 1);
}

TEST(Float16, RoundsToNearestEvenAroundEveryValue) {
  for (std::uint16_t bits = 0; bits < 0x7bff && !::testing::Test::HasFailure(); ++bits) check_around<float16>(bits);
}

TEST(Bfloat16, RoundsToNearestEvenAroundEveryNormalValue) {
  for (std::uint16_t bits = 0x0080; bits < 0x7f7f && !::testing::Test::HasFailure(); ++bits)
    check_around<bfloat16>(bits);
}

TEST(Float16, KnownValues) {
  EXPECT_EQ(float16(1.0f).bits, 0x3c00);
  EXPECT_EQ(float16(-2.0f).bits, 0xc000);
  EXPECT_EQ(float16(65504.0f).bits, 0x7bff);
  EXPECT_EQ(float16(65519.0f).bits, 0x7bff);
  EXPECT_EQ(float16(65520.0f).bits, 0x7c00);
  EXPECT_EQ(float16(-1e30f).bits, 0xfc00);
  EXPECT_EQ(float16(0x1p-24f).bits, 0x0001);
  EXPECT_EQ(float16(0x1p-25f).bits, 0x0000);
  EXPECT_EQ(float16(-0.0f).bits, 0x8000);
  EXPECT_EQ(float16(std::numeric_limits<float>::quiet_NaN()).bits, 0x7fff);
  EXPECT_EQ(static_cast<float>(from_bits<float16>(0x03ff)), 0x1p-14f - 0x1p-24f);
  EXPECT_TRUE(std::isinf(static_cast<float>(from_bits<float16>(0x7c00))));
  EXPECT_TRUE(std::isnan(static_cast<float>(from_bits<float16>(0x7c01))));
}

TEST(Bfloat16, KnownValues) {
  EXPECT_EQ(bfloat16(1.0f).bits, 0x3f80);
  EXPECT_EQ(bfloat16(3.4e38f).bits, 0x7f80);
  EXPECT_EQ(bfloat16(-0.0f).bits, 0x8000);
  EXPECT_EQ(bfloat16(std::numeric_limits<float>::infinity()).bits, 0x7f80);
  EXPECT_EQ(bfloat16(std::numeric_limits<float>::quiet_NaN()).bits, 0x7fff);
  EXPECT_EQ(static_cast<float>(from_bits<bfloat16>(0x0001)), 0x1p-133f);
}

TEST(Float16, EveryValueComesBack) {
  for (unsigned bits = 0; bits < 0x10000; ++bits) {
    const auto half = from_bits<float16>(static_cast<std::uint16_t>(bits));
    const auto brain = from_bits<bfloat16>(static_cast<std::uint16_t>(bits));
    const auto f = static_cast<float>(half), g = static_cast<float>(brain);
    EXPECT_EQ(float16(f).bits, std::isnan(f) ? 0x7fff : bits);
    EXPECT_EQ(bfloat16(g).bits, std::isnan(g) ? 0x7fff : bits);
  }
}

}  // namespace
}  // namespace folio::cuda_emulated
