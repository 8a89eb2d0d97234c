#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>

// Built only where the CUDA Toolkit's headers are: our conversions against theirs, bit for bit.
#define FOLIO_CUDA cuda_emulated
#include "cuda/float16.hpp"

namespace folio::cuda_emulated {
namespace {

/// Every upper half of a float with lower halves on both sides of each rounding: 65,536 × 29 values, NaN included.
template <typename Check>
void each_float(Check&& check_one) {
  for (std::uint32_t upper = 0; upper < 0x10000; ++upper) {
    for (const std::uint32_t lower : {0x0000u, 0x0001u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu, 0x5a5au})
      check_one(upper << 16 | lower);
    for (int bit = 0; bit < 22; ++bit) check_one((upper << 16 | 1u << bit) ^ (upper * 0x9e37u & 0xffu));
  }
}

TEST(Toolkit, Bfloat16RoundsAlike) {
  int different = 0;
  each_float([&](std::uint32_t bits) {
    const auto x = std::bit_cast<float>(bits);
    different += bfloat16(x).bits != std::bit_cast<std::uint16_t>(__float2bfloat16_rn(x));
  });
  EXPECT_EQ(different, 0);
}

TEST(Toolkit, Float16RoundsAlike) {
  int different = 0;
  each_float([&](std::uint32_t bits) {
    const auto x = std::bit_cast<float>(bits);
    different += float16(x).bits != std::bit_cast<std::uint16_t>(__float2half_rn(x));
  });
  EXPECT_EQ(different, 0);
}

/// On both sides of float32's own rounding, and as far out as float64 goes.
TEST(Toolkit, DoublesRoundOnceAlike) {
  int different = 0;
  const auto check_one = [&](double x) {
    different += float16(x).bits != std::bit_cast<std::uint16_t>(__double2half(x));
    different += bfloat16(x).bits != std::bit_cast<std::uint16_t>(__double2bfloat16(x));
  };
  each_float([&](std::uint32_t bits) {
    const double x = std::bit_cast<float>(bits);
    for (const double y : {x, std::nextafter(x, 0.0), std::nextafter(x, 1e300), x * (1 + 0x1p-30), x * 0x1p200})
      check_one(y);
  });
  EXPECT_EQ(different, 0);
}

TEST(Toolkit, EveryValueWidensAlike) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    bfloat16 brain;
    float16 half;
    brain.bits = half.bits = static_cast<std::uint16_t>(bits);
    const float f = __half2float(std::bit_cast<__half>(half.bits)),
                g = __bfloat162float(std::bit_cast<__nv_bfloat16>(brain.bits));
    const bool alike = std::isnan(f) ? std::isnan(static_cast<float>(half)) : f == static_cast<float>(half);
    EXPECT_TRUE(alike) << bits;
    EXPECT_EQ(std::bit_cast<std::uint32_t>(g), std::bit_cast<std::uint32_t>(static_cast<float>(brain))) << bits;
  }
}

}  // namespace
}  // namespace folio::cuda_emulated
