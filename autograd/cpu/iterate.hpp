#pragma once
#include <array>
#include <cstdint>

#include "autograd/tensor.hpp"

namespace folio::cpu {

/// A walk over one shape by several operands, dimensions merged where every operand allows it. The last dimension is the
/// inner run; `offsets(i, …)` gives where the i-th run begins in each operand.
template <int N>
struct Walk {
  Shape shape;                     ///< merged; rank ≥ 1
  std::array<Strides, N> strides;  ///< per operand, 0 where it broadcasts
  std::int64_t runs = 0;
  std::int64_t length = 0;

  std::array<std::int64_t, N> offsets(std::int64_t run) const {
    std::array<std::int64_t, N> at{};
    for (int d = shape.size() - 2; d >= 0; --d) {
      const std::int64_t i = run % shape[d];
      run /= shape[d];
      for (std::size_t o = 0; o < N; ++o) at[o] += i * strides[o][d];
    }
    return at;
  }
  std::int64_t inner_stride(int operand) const { return strides[static_cast<std::size_t>(operand)].back(); }
};

/// `tensors[0]` has the full shape; the others broadcast to it.
template <int N>
Walk<N> make_walk(const std::array<const Tensor*, N>& tensors) {
  const Shape& full = tensors[0]->shape();
  std::array<Strides, N> strides;
  for (std::size_t o = 0; o < N; ++o) strides[o] = broadcast_strides(tensors[o]->shape(), tensors[o]->strides(), full);

  Walk<N> walk;
  for (int d = 0; d < full.size(); ++d) {
    if (full[d] == 1) continue;
    const int last = walk.shape.size() - 1;
    bool merges = last >= 0;
    for (std::size_t o = 0; o < N && merges; ++o) merges = walk.strides[o][last] == strides[o][d] * full[d];
    if (merges) {
      walk.shape[last] *= full[d];
      for (std::size_t o = 0; o < N; ++o) walk.strides[o][last] = strides[o][d];
    } else {
      walk.shape.push_back(full[d]);
      for (std::size_t o = 0; o < N; ++o) walk.strides[o].push_back(strides[o][d]);
    }
  }
  if (walk.shape.empty()) {
    walk.shape.push_back(1);
    for (std::size_t o = 0; o < N; ++o) walk.strides[o].push_back(1);
  }
  walk.length = walk.shape.back();
  walk.runs = walk.length == 0 ? 0 : numel(walk.shape) / walk.length;
  return walk;
}

}  // namespace folio::cpu
