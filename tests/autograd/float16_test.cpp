// The 16-bit floats: conversions over all 65,536 bit patterns, and tensors that hold them.
#include "autograd/float16.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <sstream>

#include "autograd/autograd.hpp"
#include "tests/error_of.hpp"

namespace folio::testing {
namespace {

constexpr DType all_dtypes[] = {DType::float32, DType::float64,  DType::int32,
                                DType::int64,   DType::bfloat16, DType::float16};
constexpr double infinity = std::numeric_limits<double>::infinity();

template <class H>
constexpr int fraction_bits = std::is_same_v<H, bfloat16> ? 7 : 10;

template <class H>
H from_bits(unsigned bits) {
  H value;
  value.bits = static_cast<std::uint16_t>(bits);
  return value;
}

/// A pattern's value by the definition of IEEE 754.
template <class H>
double defined_value(unsigned bits) {
  constexpr int fraction = fraction_bits<H>, exponents = 1 << (15 - fraction), bias = exponents / 2 - 1;
  const double sign = (bits & 0x8000U) != 0 ? -1 : 1;
  const int exponent = static_cast<int>(bits & 0x7fffU) >> fraction;
  const double part = std::ldexp(static_cast<double>(bits & ((1U << fraction) - 1)), -fraction);
  if (exponent == exponents - 1) return part == 0 ? sign * infinity : std::nan("");
  return sign * (exponent == 0 ? std::ldexp(part, 1 - bias) : std::ldexp(1 + part, exponent - bias));
}

template <class H>
void check_every_pattern() {
  for (unsigned bits = 0; bits <= 0xffffU && !::testing::Test::HasFailure(); ++bits) {
    const auto value = static_cast<float>(from_bits<H>(bits));
    const double expected = defined_value<H>(bits);
    if (std::isnan(expected)) {
      EXPECT_TRUE(std::isnan(value)) << bits;
      EXPECT_EQ(H(value).bits, 0x7fff) << bits;
    } else {
      EXPECT_EQ(value, expected) << bits;
      EXPECT_EQ(std::signbit(value), bits >= 0x8000U) << bits;
      EXPECT_EQ(H(value).bits, bits);
    }
  }
}

/// Between each value and the next, up to infinity: the nearer one, or the one with an even last bit.
template <class H>
void check_rounding() {
  const unsigned beyond = std::is_same_v<H, bfloat16> ? 0x7f80 : 0x7c00;
  for (unsigned low = 0; low < beyond && !::testing::Test::HasFailure(); ++low) {
    const double a = defined_value<H>(low);
    const double step = low + 1 < beyond ? defined_value<H>(low + 1) - a : a - defined_value<H>(low - 1);
    const double middle = a + step / 2;
    const unsigned even = low % 2 == 0 ? low : low + 1;
    const auto narrow = static_cast<float>(middle);
    EXPECT_EQ(H(narrow).bits, even) << low;
    EXPECT_EQ(H(-narrow).bits, 0x8000U | even) << low;
    EXPECT_EQ(H(std::nextafter(narrow, 0.0F)).bits, low);
    EXPECT_EQ(H(std::nextafter(narrow, std::numeric_limits<float>::infinity())).bits, low + 1);
    // Within float32's rounding of the middle: only rounding once tells the sides apart.
    EXPECT_EQ(H(middle).bits, even) << low;
    EXPECT_EQ(H(std::nextafter(middle, 0.0)).bits, low);
    EXPECT_EQ(H(std::nextafter(middle, infinity)).bits, low + 1);
    EXPECT_EQ(H(-std::nextafter(middle, infinity)).bits, 0x8000U | (low + 1));
  }
  for (const double large : {1e39, 1e300, infinity}) {
    EXPECT_EQ(H(large).bits, beyond);
    EXPECT_EQ(H(-large).bits, 0x8000U | beyond);
  }
  EXPECT_EQ(H(1e-300).bits, 0);
  EXPECT_EQ(H(-1e-300).bits, 0x8000);
  EXPECT_EQ(H(std::nan("")).bits, 0x7fff);
}

/// All patterns in order, as a tensor.
template <class H>
Tensor every_pattern() {
  Tensor x = empty({256, 256}, {dtype_of<H>()});
  for (unsigned bits = 0; bits <= 0xffffU; ++bits) x.mutable_data<H>()[bits].bits = static_cast<std::uint16_t>(bits);
  return x;
}

/// Kernels convert whole runs: each element as the scalar conversion does, from any layout.
template <class H>
void check_kernels() {
  const Tensor x = every_pattern<H>();
  const Tensor wide = x.to(DType::float32), doubled = x.to(DType::float64);
  const Tensor turned = scale(x.transpose(0, 1), 1).to(DType::float32).transpose(0, 1);
  for (unsigned bits = 0; bits <= 0xffffU && !::testing::Test::HasFailure(); ++bits) {
    const auto value = static_cast<float>(from_bits<H>(bits));
    const std::int64_t at = bits / 256 * turned.strides()[0] + bits % 256 * turned.strides()[1];
    for (const double got : {static_cast<double>(wide.data<float>()[bits]), doubled.data<double>()[bits],
                             static_cast<double>(turned.data<float>()[at])}) {
      EXPECT_TRUE(got == value || (std::isnan(got) && std::isnan(value))) << bits;
    }
  }
  Generator generator(7);
  const auto stream = generator.next_stream();
  Tensor floats = empty({1 << 18});
  for (std::int64_t i = 0; i < floats.numel(); i += 4) {
    const auto words = stream.block(static_cast<std::uint64_t>(i));
    for (std::int64_t j = 0; j < 4; ++j) {
      floats.mutable_data<float>()[i + j] = std::bit_cast<float>(words[static_cast<std::size_t>(j)]);
    }
  }
  const Tensor rounded = floats.to(dtype_of<H>());
  const Tensor scattered = floats.reshape({512, 512}).transpose(0, 1).to(dtype_of<H>());
  for (std::int64_t i = 0; i < floats.numel() && !::testing::Test::HasFailure(); ++i) {
    const std::uint16_t expected = H(floats.data<float>()[i]).bits;
    EXPECT_EQ(rounded.data<H>()[i].bits, expected) << floats.data<float>()[i];
    EXPECT_EQ(scattered.data<H>()[i % 512 * 512 + i / 512].bits, expected) << floats.data<float>()[i];
  }
}

}  // namespace

TEST(Float16, EveryPatternHasItsValueAndComesBack) {
  check_every_pattern<bfloat16>();
  check_every_pattern<float16>();
}

TEST(Float16, RoundsOnceToNearestEvenAroundEveryValue) {
  check_rounding<bfloat16>();
  check_rounding<float16>();
}

TEST(Float16, KernelsConvertAsTheScalarsDo) {
  check_kernels<bfloat16>();
  check_kernels<float16>();
}

TEST(Float16, EveryDtypeIsCastToEveryOther) {
  const std::vector<double> whole = {-3, 0, 1, 2, 100};
  for (const DType from : all_dtypes) {
    const Tensor x = from_vector(whole, {5}, {from});
    for (const DType to : all_dtypes) EXPECT_EQ(x.to(to).to_vector(), whole) << name_of(from) << " to " << name_of(to);
  }
  const Tensor large = from_vector(std::vector<std::int64_t>{2049, 2051, 70000, -70000}, {4});
  EXPECT_EQ(large.to(DType::float16).to_vector(), (std::vector<double>{2048, 2052, infinity, -infinity}));
  EXPECT_EQ(tensor({2.75, -2.75}).to(DType::bfloat16).to(DType::int32).to_vector(), (std::vector<double>{2, -2}));
  EXPECT_EQ(tensor({1 + 0x1p-20}).to(DType::bfloat16).to(DType::float16).item(), 1);
}

TEST(Float16, TensorsAreMadeCopiedFilledAndPrintedInAnyLayout) {
  Generator generator(1);
  for (const DType dtype : {DType::bfloat16, DType::float16}) {
    const Options options = {dtype};
    EXPECT_EQ(zeros({2}, options).to_vector(), (std::vector<double>{0, 0}));
    EXPECT_EQ(ones({2}, options).to_vector(), (std::vector<double>{1, 1}));
    EXPECT_EQ(arange(3, options).to_vector(), (std::vector<double>{0, 1, 2}));
    EXPECT_EQ(full({}, 0.1, options).item(), tensor({0.1}).to(dtype).item());
    EXPECT_NE(full({}, 0.1, options).item(), 0.1);
    EXPECT_EQ(size_of(dtype), 2U);
    EXPECT_EQ(randn({3, 5}, generator, options).storage()->bytes(), 30U);

    Tensor x = arange(6, options).reshape({2, 3});
    x.transpose(0, 1).slice(0, 1, 2).fill(-7);
    EXPECT_EQ(x.to_vector(), (std::vector<double>{0, -7, 2, 3, -7, 5}));
    x.slice(1, 0, 2).copy_from(tensor({1, 2, 3, 4}).reshape({2, 2}).transpose(0, 1));
    EXPECT_EQ(x.to_vector(), (std::vector<double>{1, 3, 2, 2, 4, 5}));
    EXPECT_EQ(x.transpose(0, 1).contiguous().to_vector(), (std::vector<double>{1, 2, 3, 4, 2, 5}));
    EXPECT_EQ(concat({x, x.slice(1, 1, 2)}, 1).to_vector(), (std::vector<double>{1, 3, 2, 3, 2, 4, 5, 4}));
    std::ostringstream text;
    text << tensor({1.5, -2}, options);
    EXPECT_EQ(text.str(), "[1.5, -2]  " + std::string(name_of(dtype)) + " (2)");
  }
}

TEST(Float16, SumsAreOfFloat32) {
  const Tensor ones_of_bfloat16 = ones({1000, 3}, {DType::bfloat16});  // in bfloat16, 256 + 1 is 256
  EXPECT_EQ(sum(ones_of_bfloat16).item(), tensor({3000}).to(DType::bfloat16).item());
  EXPECT_EQ(sum(ones_of_bfloat16, {0}).to_vector(), (std::vector<double>{1000, 1000, 1000}));
  EXPECT_EQ(mean(full({100'000}, 2, {DType::float16})).item(), 2);  // the sum is beyond float16
  const Tensor a = ones({4, 3000}, {DType::bfloat16});
  EXPECT_EQ(matmul(a, a.transpose(0, 1)).to_vector(),
            std::vector<double>(16, tensor({3000}).to(DType::bfloat16).item()));
}

TEST(Float16, MixedDtypesAreAClearError) {
  const Tensor half = ones({2}, {DType::bfloat16});
  EXPECT_NE(error_of([&] { add(half, ones({2})); }).find("bfloat16 (2) and float32 (2)"), std::string::npos);
  EXPECT_NE(error_of([&] { add(half, half.to(DType::float16)); }).find("bfloat16 (2) and float16 (2)"),
            std::string::npos);
  EXPECT_NE(error_of([&] { half.data<float>(); }).find("bfloat16 (2)"), std::string::npos);
  const Tensor x = ones({1, 2});
  EXPECT_NE(error_of([&] { linear(x, x.to(DType::bfloat16)); }).find("linear: a weight of bfloat16 (1, 2)"),
            std::string::npos);
}

}  // namespace folio::testing
