#include "autograd/shape.hpp"

#include <algorithm>

namespace folio {

std::string to_string(const Dims& dims) {
  std::string text = "(";
  for (int i = 0; i < dims.size(); ++i) {
    text += (i ? ", " : "") + std::to_string(dims[i]);
  }
  return text + ")";
}

std::int64_t numel(const Shape& shape) {
  std::int64_t n = 1;
  for (std::int64_t extent : shape) {
    require(!__builtin_mul_overflow(n, extent, &n),
            [&] { return "shape " + to_string(shape) + " has too many elements"; });
  }
  return n;
}

Strides contiguous_strides(const Shape& shape) {
  Strides strides = Dims::filled(shape.size(), 1);
  for (int i = shape.size() - 2; i >= 0; --i) {
    require(!__builtin_mul_overflow(strides[i + 1], std::max<std::int64_t>(shape[i + 1], 1), &strides[i]),
            [&] { return "shape " + to_string(shape) + " has too many elements"; });
  }
  return strides;
}

Shape broadcast_shapes(const Shape& a, const Shape& b, const char* op) {
  const int rank = std::max(a.size(), b.size());
  Shape out = Dims::filled(rank, 1);
  for (int i = 0; i < rank; ++i) {
    const int ia = i - (rank - a.size());
    const int ib = i - (rank - b.size());
    const std::int64_t ea = ia < 0 ? 1 : a[ia];
    const std::int64_t eb = ib < 0 ? 1 : b[ib];
    require(ea == eb || ea == 1 || eb == 1, [&] {
      return std::string(op) + ": shapes " + to_string(a) + " and " + to_string(b) +
             " do not broadcast: extents must be equal or 1, aligned at the right";
    });
    out[i] = ea == 1 ? eb : ea;
  }
  return out;
}

Strides broadcast_strides(const Shape& shape, const Strides& strides, const Shape& target) {
  Strides out = Dims::filled(target.size(), 0);
  const int shift = target.size() - shape.size();
  for (int i = 0; i < shape.size(); ++i) {
    out[i + shift] = shape[i] == 1 ? 0 : strides[i];
  }
  return out;
}

}  // namespace folio
