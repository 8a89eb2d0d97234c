#pragma once
#include <cstdint>
#include <string>

#include "autograd/tensor.hpp"

namespace folio::cpu {

/// Throws unless every index is in [0, below), the extent of `table` that it points into. `index` is packed.
inline void check_indices(const Tensor& index, std::int64_t below, const char* op, const Tensor& table) {
  visit_index(index.dtype(), [&](auto tag) {
    const auto* values = index.ptr<decltype(tag)>();
    for (std::int64_t i = 0; i < index.numel(); ++i) {
      require(values[i] >= 0 && values[i] < below, [&] {
        return std::string(op) + ": index " + std::to_string(values[i]) + " at position " + std::to_string(i) +
               " is outside [0, " + std::to_string(below) + ") of the tensor that it points into, " + describe(table);
      });
    }
  });
}

}  // namespace folio::cpu
