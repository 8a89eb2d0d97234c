#pragma once
#include <bit>
#include <cstdint>
#include <cstring>
#include <type_traits>

#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#endif

/// The two 16-bit floats: storage types, computed with as float. Conversions round to nearest even and agree with
/// the CUDA toolkit's bit for bit (NaN becomes 0x7fff); a GPU uses its own instructions for them.
namespace folio::FOLIO_CUDA {

/// bfloat16: float32's upper half; 8 bits of exponent, 7 of fraction.
struct bfloat16 {
  std::uint16_t bits;

  bfloat16() = default;
  __host__ __device__ explicit bfloat16(float value) : bits(rounded(value)) {}
  __host__ __device__ explicit operator float() const {
    const std::uint32_t wide = std::uint32_t{bits} << 16;
    float value;
    memcpy(&value, &wide, sizeof value);
    return value;
  }

 private:
  __host__ __device__ static std::uint16_t rounded(float value) {
#ifdef __CUDA_ARCH__
    return __bfloat16_as_ushort(__float2bfloat16_rn(value));
#else
    const auto wide = std::bit_cast<std::uint32_t>(value);
    if ((wide & 0x7fffffffu) > 0x7f800000u) return 0x7fff;
    return static_cast<std::uint16_t>((wide + 0x7fffu + (wide >> 16 & 1u)) >> 16);
#endif
  }
};

/// IEEE binary16: 5 bits of exponent, 10 of fraction; largest 65504, smallest normal 2^-14.
struct float16 {
  std::uint16_t bits;

  float16() = default;
  __host__ __device__ explicit float16(float value) : bits(rounded(value)) {}
  __host__ __device__ explicit operator float() const {
#ifdef __CUDA_ARCH__
    return __half2float(__ushort_as_half(bits));
#else
    // Moved into float32's fields and scaled by 2^112, the difference of the two biases; exact, subnormals included.
    const std::uint32_t sign = (bits & 0x8000u) << 16, magnitude = bits & 0x7fffu;
    if (magnitude >= 0x7c00u) return std::bit_cast<float>(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
    const float scaled = std::bit_cast<float>(magnitude << 13) * 0x1p112f;
    return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(scaled));
#endif
  }

 private:
  __host__ __device__ static std::uint16_t rounded(float value) {
#ifdef __CUDA_ARCH__
    return __half_as_ushort(__float2half_rn(value));
#else
    const auto wide = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t sign = wide >> 16 & 0x8000u, magnitude = wide & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return 0x7fff;
    if (magnitude >= 0x477ff000u) return static_cast<std::uint16_t>(sign | 0x7c00u);  // 65520 and more
    if (magnitude < 0x38800000u) {  // below 2^-14: counted in units of 2^-24 by the adder of 2^23's neighbourhood
      const float shifted = std::bit_cast<float>(magnitude) * 0x1p24f + 0x1p23f;
      return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(shifted) - 0x4b000000u));
    }
    return static_cast<std::uint16_t>(sign | (magnitude + 0xfffu + (magnitude >> 13 & 1u) - 0x38000000u) >> 13);
#endif
  }
};

/// What a kernel adds up in: float for the 16-bit types and float, double for double.
template <typename T>
using Accumulator = std::conditional_t<std::is_same_v<T, double>, double, float>;

}  // namespace folio::FOLIO_CUDA
