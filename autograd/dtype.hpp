#pragma once
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>

#include "autograd/error.hpp"
#include "autograd/float16.hpp"

namespace folio {

/// The type of a tensor's elements: floats carry values and gradients, integers carry indices. The 16-bit floats are for
/// storage: kernels compute with them, and sum, in float32, and round once (attention its probabilities, too: see there).
enum class DType : std::uint8_t { float32, float64, int32, int64, bfloat16, float16 };

template <class T>
constexpr DType dtype_of() {
  if constexpr (std::is_same_v<T, float>) return DType::float32;
  if constexpr (std::is_same_v<T, double>) return DType::float64;
  if constexpr (std::is_same_v<T, std::int32_t>) return DType::int32;
  if constexpr (std::is_same_v<T, std::int64_t>) return DType::int64;
  if constexpr (std::is_same_v<T, folio::bfloat16>) return DType::bfloat16;
  if constexpr (std::is_same_v<T, folio::float16>) return DType::float16;
}

/// A 16-bit float.
constexpr bool is_half(DType dtype) { return dtype == DType::bfloat16 || dtype == DType::float16; }

constexpr bool is_float(DType dtype) { return dtype == DType::float32 || dtype == DType::float64 || is_half(dtype); }

/// What a kernel computes and sums in: float32 for the 16-bit floats, otherwise the dtype itself. Statistics that an op
/// keeps are of this dtype too.
constexpr DType compute_dtype(DType dtype) { return is_half(dtype) ? DType::float32 : dtype; }

constexpr std::size_t size_of(DType dtype) {
  if (is_half(dtype)) return 2;
  return dtype == DType::float32 || dtype == DType::int32 ? 4 : 8;
}

constexpr const char* name_of(DType dtype) {
  switch (dtype) {
    case DType::float32: return "float32";
    case DType::float64: return "float64";
    case DType::int32: return "int32";
    case DType::int64: return "int64";
    case DType::bfloat16: return "bfloat16";
    case DType::float16: return "float16";
  }
  return "unknown";
}

/// Whether `value`, its fraction cut off, is a number of type To. To a float everything converts, by rounding; an index
/// type holds neither NaN, nor infinity, nor what lies outside its range.
template <class To, class From>
constexpr bool fits(From value) {
  if constexpr (!std::is_integral_v<To>) {
    return true;
  } else if constexpr (is_half_type<From>) {
    return fits<To>(static_cast<float>(value));
  } else if constexpr (std::is_floating_point_v<From>) {
    constexpr From low = static_cast<From>(std::numeric_limits<To>::min());  // −2ⁿ, exact in every float type
    return value >= low && value < -low;
  } else {
    return value >= std::numeric_limits<To>::min() && value <= std::numeric_limits<To>::max();
  }
}

/// Calls `f(T{})` with the C++ type of float32 or float64: how a kernel that reads memory as T enters its template, once.
template <class F>
void visit_float(DType dtype, F&& f) {
  switch (dtype) {
    case DType::float32: return f(float{});
    case DType::float64: return f(double{});
    default: throw Error(std::string("expected a float32 or float64 tensor, got ") + name_of(dtype));
  }
}

/// Calls `f(T{})` with the C++ type that tensors of a float dtype are computed in.
template <class F>
void visit_compute(DType dtype, F&& f) {
  visit_float(compute_dtype(dtype), f);
}

/// Calls `f(T{})` with the C++ type of a 16-bit float.
template <class F>
void visit_half(DType dtype, F&& f) {
  switch (dtype) {
    case DType::bfloat16: return f(folio::bfloat16{});
    case DType::float16: return f(folio::float16{});
    default: throw Error(std::string("expected a bfloat16 or float16 tensor, got ") + name_of(dtype));
  }
}

/// Calls `f(T{})` with the C++ type of any float dtype.
template <class F>
void visit_any_float(DType dtype, F&& f) {
  if (is_half(dtype)) return visit_half(dtype, f);
  visit_float(dtype, f);
}

/// Calls `f(T{})` with the C++ type of an index dtype.
template <class F>
void visit_index(DType dtype, F&& f) {
  switch (dtype) {
    case DType::int32: return f(std::int32_t{});
    case DType::int64: return f(std::int64_t{});
    default: throw Error(std::string("expected an index tensor (int32 or int64), got ") + name_of(dtype));
  }
}

/// Calls `f(T{})` with the C++ type of any dtype.
template <class F>
void visit_any(DType dtype, F&& f) {
  if (is_float(dtype)) return visit_any_float(dtype, f);
  return visit_index(dtype, f);
}

/// Calls `f(U{})` with an unsigned integer as wide as the elements: how kernels that move elements, whatever they mean,
/// enter their template.
template <class F>
void visit_bits(DType dtype, F&& f) {
  switch (size_of(dtype)) {
    case 2: return f(std::uint16_t{});
    case 4: return f(std::uint32_t{});
    default: return f(std::uint64_t{});
  }
}

}  // namespace folio
