#pragma once
#include <cstddef>
#include <cstdint>

namespace folio::cuda_emulated {

struct uint3 {
  unsigned x, y, z;
};

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
  constexpr std::size_t count() const { return std::size_t{x} * y * z; }
};

/// Throws Fault unless `address` is a multiple of `bytes`; says which line of the kernel asked.
void require_aligned(const void* address, std::size_t bytes);

/// Called by every copy of a vector: the hardware faults where the address is no multiple of the vector's size. The
/// empty statement hides the address from the compiler, which would otherwise trust the type and drop the test.
inline __attribute__((always_inline)) void check_aligned(const void* address, std::size_t bytes) {
  auto value = reinterpret_cast<std::uintptr_t>(address);
  __asm__("" : "+r"(value));
  if (value % bytes != 0) [[unlikely]] {
    require_aligned(address, bytes);
  }
}

template <typename T>
struct alignas(2 * sizeof(T)) Vector2 {
  T x, y;

  Vector2() = default;
  Vector2(T x_, T y_) : x(x_), y(y_) {}
  Vector2(const Vector2& other) : x((check_aligned(&other, alignof(Vector2)), other.x)), y(other.y) {
    check_aligned(this, alignof(Vector2));
  }
  Vector2& operator=(const Vector2& other) {
    check_aligned(&other, alignof(Vector2));
    check_aligned(this, alignof(Vector2));
    x = other.x, y = other.y;
    return *this;
  }
};

template <typename T>
struct alignas(sizeof(T) < 4 ? 4 * sizeof(T) : 16) Vector4 {
  T x, y, z, w;

  Vector4() = default;
  Vector4(T x_, T y_, T z_, T w_) : x(x_), y(y_), z(z_), w(w_) {}
  Vector4(const Vector4& other)
      : x((check_aligned(&other, alignof(Vector4)), other.x)), y(other.y), z(other.z), w(other.w) {
    check_aligned(this, alignof(Vector4));
  }
  Vector4& operator=(const Vector4& other) {
    check_aligned(&other, alignof(Vector4));
    check_aligned(this, alignof(Vector4));
    x = other.x, y = other.y, z = other.z, w = other.w;
    return *this;
  }
};

using int2 = Vector2<int>;
using uint2 = Vector2<unsigned>;
using float2 = Vector2<float>;
using double2 = Vector2<double>;
using int4 = Vector4<int>;
using uint4 = Vector4<unsigned>;
using float4 = Vector4<float>;
using uchar4 = Vector4<unsigned char>;

inline int2 make_int2(int x, int y) { return {x, y}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline float2 make_float2(float x, float y) { return {x, y}; }
inline double2 make_double2(double x, double y) { return {x, y}; }
inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

}  // namespace folio::cuda_emulated
