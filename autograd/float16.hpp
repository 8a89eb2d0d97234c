#pragma once
#include <bit>
#include <cstdint>
#include <type_traits>

/// The two 16-bit floats: storage types, computed with as float32. Conversions round once, to nearest even, and agree with
/// the CUDA toolkit's bit for bit (NaN becomes 0x7fff). They have no branches, so that loops over them are vectorised.
namespace folio {

/// Conversions between float32 and the bits of a 16-bit float.
namespace float16_bits {

/// `c ? a : b` without a branch, which g++ would not vectorise.
constexpr std::uint32_t select(bool c, std::uint32_t a, std::uint32_t b) {
  const std::uint32_t mask = 0U - static_cast<std::uint32_t>(c);
  return (a & mask) | (b & ~mask);
}

constexpr std::uint16_t to_bfloat16(float value) {
  const auto wide = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t nearest = (wide + 0x7fffU + (wide >> 16 & 1U)) >> 16;
  return static_cast<std::uint16_t>(select((wide & 0x7fffffffU) > 0x7f800000U, 0x7fffU, nearest));
}
constexpr float from_bfloat16(std::uint16_t bits) { return std::bit_cast<float>(std::uint32_t{bits} << 16); }

constexpr std::uint16_t to_float16(float value) {
  const auto wide = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = wide >> 16 & 0x8000U, magnitude = wide & 0x7fffffffU;
  const std::uint32_t normal = (magnitude + 0xfffU + (magnitude >> 13 & 1U) - 0x38000000U) >> 13;
  // Below 2^-14: counted in units of 2^-24 by the adder of 2^23's neighbourhood.
  const float shifted = std::bit_cast<float>(magnitude) * 0x1p24F + 0x1p23F;
  const std::uint32_t small = std::bit_cast<std::uint32_t>(shifted) - 0x4b000000U;
  const std::uint32_t finite = select(magnitude < 0x38800000U, small, normal);
  const std::uint32_t number = sign | select(magnitude >= 0x477ff000U, 0x7c00U, finite);  // 65520 and more: ∞
  return static_cast<std::uint16_t>(select(magnitude > 0x7f800000U, 0x7fffU, number));
}
constexpr float from_float16(std::uint16_t bits) {
  // Moved into float32's fields and scaled by 2^112, the difference of the two biases; exact, subnormals included.
  const std::uint32_t sign = (bits & 0x8000U) << 16, magnitude = bits & 0x7fffU;
  const float scaled = std::bit_cast<float>(magnitude << 13) * 0x1p112F;
  const std::uint32_t beyond = 0x7f800000U | (magnitude & 0x3ffU) << 13;  // ∞ and NaN
  return std::bit_cast<float>(sign | select(magnitude >= 0x7c00U, beyond, std::bit_cast<std::uint32_t>(scaled)));
}

/// The float32 from which the next rounding, to 16 bits, gives what rounding `value` at once would: exact, or the one of
/// the two neighbours whose last bit is 1 ("rounding to odd", Boldo and Melquiond 2008).
constexpr float to_odd(double value) {
  const auto nearest = static_cast<float>(value);
  const auto bits = std::bit_cast<std::uint32_t>(nearest);
  if (static_cast<double>(nearest) == value || value != value || (bits & 1U) != 0) return nearest;
  const bool outward = (value < 0 ? -nearest : nearest) < (value < 0 ? -value : value);
  return std::bit_cast<float>(outward ? bits + 1 : bits - 1);
}

}  // namespace float16_bits

/// float32's upper half: 8 bits of exponent, 7 of fraction.
struct bfloat16 {
  std::uint16_t bits;

  bfloat16() = default;
  constexpr explicit bfloat16(float value) : bits(float16_bits::to_bfloat16(value)) {}
  constexpr explicit bfloat16(double value) : bfloat16(float16_bits::to_odd(value)) {}
  constexpr explicit operator float() const { return float16_bits::from_bfloat16(bits); }
};

/// IEEE binary16: 5 bits of exponent, 10 of fraction; largest 65504, smallest normal 2^-14.
struct float16 {
  std::uint16_t bits;

  float16() = default;
  constexpr explicit float16(float value) : bits(float16_bits::to_float16(value)) {}
  constexpr explicit float16(double value) : float16(float16_bits::to_odd(value)) {}
  constexpr explicit operator float() const { return float16_bits::from_float16(bits); }
};

template <class T>
constexpr bool is_half_type = std::is_same_v<T, bfloat16> || std::is_same_v<T, float16>;
/// What elements stored as T are computed in on the CPU.
template <class T>
using ComputeType = std::conditional_t<is_half_type<T>, float, T>;

/// `value` as another element type; into a 16-bit float it is rounded once.
template <class To, class From>
constexpr To convert_to(From value) {
  if constexpr (is_half_type<From>) {
    return convert_to<To>(static_cast<float>(value));
  } else if constexpr (is_half_type<To> && !std::is_same_v<From, float>) {
    return To(static_cast<double>(value));
  } else {
    return static_cast<To>(value);
  }
}

}  // namespace folio
