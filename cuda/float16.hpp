#pragma once
#include <cstdint>
#include <type_traits>

#include "autograd/float16.hpp"

#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#endif

/// The two 16-bit floats as kernels use them: the conversions of autograd/float16.hpp, and on a GPU its own instructions
/// for them, which give the same bits. Kernels compute and sum in Accumulator<T> and store T: wide(x) takes an element in,
/// narrow<T>(value) rounds a result once.
namespace folio::FOLIO_CUDA {

/// bfloat16: float32's upper half; 8 bits of exponent, 7 of fraction.
struct bfloat16 {
  std::uint16_t bits;

  bfloat16() = default;
  __host__ __device__ explicit bfloat16(float value) : bits(rounded(value)) {}
  __host__ __device__ explicit bfloat16(double value) : bits(rounded(value)) {}
  __host__ __device__ explicit operator float() const {
#ifdef __CUDA_ARCH__
    return __uint_as_float(std::uint32_t{bits} << 16);
#else
    return float16_bits::from_bfloat16(bits);
#endif
  }

 private:
  __host__ __device__ static std::uint16_t rounded(float value) {
#ifdef __CUDA_ARCH__
    return __bfloat16_as_ushort(__float2bfloat16_rn(value));
#else
    return float16_bits::to_bfloat16(value);
#endif
  }
  __host__ __device__ static std::uint16_t rounded(double value) {
#ifdef __CUDA_ARCH__
    return __bfloat16_as_ushort(__double2bfloat16(value));
#else
    return float16_bits::to_bfloat16(float16_bits::to_odd(value));
#endif
  }
};

/// IEEE binary16: 5 bits of exponent, 10 of fraction; largest 65504, smallest normal 2^-14.
struct float16 {
  std::uint16_t bits;

  float16() = default;
  __host__ __device__ explicit float16(float value) : bits(rounded(value)) {}
  __host__ __device__ explicit float16(double value) : bits(rounded(value)) {}
  __host__ __device__ explicit operator float() const {
#ifdef __CUDA_ARCH__
    return __half2float(__ushort_as_half(bits));
#else
    return float16_bits::from_float16(bits);
#endif
  }

 private:
  __host__ __device__ static std::uint16_t rounded(float value) {
#ifdef __CUDA_ARCH__
    return __half_as_ushort(__float2half_rn(value));
#else
    return float16_bits::to_float16(value);
#endif
  }
  __host__ __device__ static std::uint16_t rounded(double value) {
#ifdef __CUDA_ARCH__
    return __half_as_ushort(__double2half(value));
#else
    return float16_bits::to_float16(float16_bits::to_odd(value));
#endif
  }
};

/// What a kernel adds up in: float for the 16-bit types and float, double for double.
template <typename T>
using Accumulator = std::conditional_t<std::is_same_v<T, double>, double, float>;

template <typename T>
constexpr bool is_half_type = std::is_same_v<T, bfloat16> || std::is_same_v<T, float16>;

/// An element as it is computed with: float for the 16-bit types, others as they are.
template <typename T>
__host__ __device__ auto wide(T x) {
  if constexpr (is_half_type<T>) {
    return static_cast<float>(x);
  } else {
    return x;
  }
}

/// `value` as an element of type T; into a 16-bit type it is rounded once, whatever it was.
template <typename T, typename Value>
__host__ __device__ T narrow(Value value) {
  if constexpr (std::is_same_v<T, Value>) {
    return value;
  } else if constexpr (is_half_type<T> && !std::is_same_v<Value, float>) {
    return T(static_cast<double>(value));
  } else {
    return static_cast<T>(value);
  }
}

}  // namespace folio::FOLIO_CUDA
