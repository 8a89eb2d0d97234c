#pragma once
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>

#include "autograd/error.hpp"

namespace folio {

/// The type of a tensor's elements: floats carry values and gradients, integers carry indices.
enum class DType : std::uint8_t { float32, float64, int32, int64 };

template <class T>
constexpr DType dtype_of() {
  if constexpr (std::is_same_v<T, float>) return DType::float32;
  if constexpr (std::is_same_v<T, double>) return DType::float64;
  if constexpr (std::is_same_v<T, std::int32_t>) return DType::int32;
  if constexpr (std::is_same_v<T, std::int64_t>) return DType::int64;
}

constexpr bool is_float(DType dtype) { return dtype == DType::float32 || dtype == DType::float64; }

constexpr std::size_t size_of(DType dtype) { return dtype == DType::float32 || dtype == DType::int32 ? 4 : 8; }

constexpr const char* name_of(DType dtype) {
  switch (dtype) {
    case DType::float32: return "float32";
    case DType::float64: return "float64";
    case DType::int32: return "int32";
    case DType::int64: return "int64";
  }
  return "unknown";
}

/// Whether `value`, its fraction cut off, is a number of type To. To a float everything converts, by rounding; an index
/// type holds neither NaN, nor infinity, nor what lies outside its range.
template <class To, class From>
constexpr bool fits(From value) {
  if constexpr (std::is_floating_point_v<To>) {
    return true;
  } else if constexpr (std::is_floating_point_v<From>) {
    constexpr From low = static_cast<From>(std::numeric_limits<To>::min());  // −2ⁿ, exact in every float type
    return value >= low && value < -low;
  } else {
    return value >= std::numeric_limits<To>::min() && value <= std::numeric_limits<To>::max();
  }
}

/// Calls `f(T{})` with the C++ type of a float dtype: how a kernel enters its template, once.
template <class F>
void visit_float(DType dtype, F&& f) {
  switch (dtype) {
    case DType::float32: return f(float{});
    case DType::float64: return f(double{});
    default: throw Error(std::string("expected a float tensor, got ") + name_of(dtype));
  }
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
  if (is_float(dtype)) return visit_float(dtype, f);
  return visit_index(dtype, f);
}

}  // namespace folio
