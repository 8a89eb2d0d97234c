#pragma once
#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

#include "autograd/error.hpp"

namespace folio {

/// Up to eight extents or strides, held in place. Dimension −1 is the last.
class Dims {
 public:
  static constexpr int max_rank = 8;

  Dims() = default;
  Dims(std::initializer_list<std::int64_t> values) : Dims(std::span(values.begin(), values.size())) {}
  explicit Dims(std::span<const std::int64_t> values) {
    for (std::int64_t v : values) push_back(v);
  }
  static Dims filled(int rank, std::int64_t value) {
    Dims d;
    for (int i = 0; i < rank; ++i) d.push_back(value);
    return d;
  }

  int size() const { return size_; }
  bool empty() const { return size_ == 0; }
  void push_back(std::int64_t value) {
    require(size_ < max_rank, [] { return std::string("a tensor has at most 8 dimensions"); });
    values_[static_cast<std::size_t>(size_++)] = value;
  }
  void erase(int index) {
    for (int i = index; i + 1 < size_; ++i) (*this)[i] = (*this)[i + 1];
    --size_;
  }
  std::int64_t operator[](int i) const { return values_[static_cast<std::size_t>(i)]; }
  std::int64_t& operator[](int i) { return values_[static_cast<std::size_t>(i)]; }
  std::int64_t back() const { return (*this)[size_ - 1]; }
  const std::int64_t* begin() const { return values_.data(); }
  const std::int64_t* end() const { return values_.data() + size_; }
  std::int64_t* begin() { return values_.data(); }
  std::int64_t* end() { return values_.data() + size_; }

  friend bool operator==(const Dims& a, const Dims& b) {
    if (a.size_ != b.size_) return false;
    for (int i = 0; i < a.size_; ++i) {
      if (a[i] != b[i]) return false;
    }
    return true;
  }

 private:
  std::array<std::int64_t, max_rank> values_{};
  int size_ = 0;
};

using Shape = Dims;
using Strides = Dims;

/// "(2, 3)"; "()" for a scalar.
std::string to_string(const Dims& dims);

/// The product of the extents: 1 for a scalar.
std::int64_t numel(const Shape& shape);

/// Strides, in elements, of a packed row-major tensor.
Strides contiguous_strides(const Shape& shape);

/// Turns a dimension counted from either end into one counted from the front, or throws naming `op`.
inline int normalize_dim(int dim, int rank, const char* op) {
  require(dim >= -rank && dim < rank, [&] {
    return std::string(op) + ": dimension " + std::to_string(dim) + " does not exist in a tensor of " +
           std::to_string(rank) + " dimensions";
  });
  return dim < 0 ? dim + rank : dim;
}

/// The shape that both broadcast to (NumPy's rule: align at the right, extents equal or 1), or an Error naming `op`.
Shape broadcast_shapes(const Shape& a, const Shape& b, const char* op);

/// Strides that read a tensor of `shape` and `strides` as if it had the broadcast shape `target`.
Strides broadcast_strides(const Shape& shape, const Strides& strides, const Shape& target);

}  // namespace folio
