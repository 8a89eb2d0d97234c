#pragma once
#include <cstdint>
#include <sstream>
#include <string>
#include <vector>

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

/// `value`, which stands at `position`, as a To; throws where To has no such number.
template <class To, class From>
To converted(From value, std::int64_t position, const char* op) {
  require(fits<To>(value), [&] {
    std::ostringstream text;
    text << op << ": the value " << value << " at position " << position << " is no " << name_of(dtype_of<To>())
         << ": it must be a number in its range";
    return text.str();
  });
  return static_cast<To>(value);
}

/// Throws unless `row_of` names each of its rows once: then writing row by row leaves none out and meets none twice.
inline void check_permutation(const Tensor& row_of, const char* op) {
  const std::int64_t rows = row_of.numel();
  std::vector<bool> seen(static_cast<std::size_t>(rows), false);
  for (std::int64_t i = 0; i < rows; ++i) {
    const std::int32_t row = row_of.ptr<std::int32_t>()[i];
    const bool fresh = row >= 0 && row < rows && !seen[static_cast<std::size_t>(row)];
    require(fresh, [&] {
      return std::string(op) + ": row_of " + to_string(row_of.shape()) + " names row " + std::to_string(row) +
             " twice or outside [0, " + std::to_string(rows) + "): use what route() returned";
    });
    seen[static_cast<std::size_t>(row)] = true;
  }
}

}  // namespace folio::cpu
