#pragma once
#include <algorithm>
#include <cstdint>
#include <span>
#include <string>

#include "autograd/error.hpp"

namespace folio::detail {

/// An Error of expert_matmul unless the offsets, of which there is at least one, rise from 0 to the number of rows.
inline void check_expert_offsets(std::span<const std::int32_t> offsets, std::int64_t rows) {
  const auto fall = std::is_sorted_until(offsets.begin(), offsets.end());
  const bool rise = fall == offsets.end();
  require(rise && offsets.front() == 0 && offsets.back() == rows, [&] {
    return "expert_matmul: offsets must rise from 0 to the " + std::to_string(rows) + " rows; they " +
           (rise ? "go from " + std::to_string(offsets.front()) + " to " + std::to_string(offsets.back())
                 : "fall from " + std::to_string(*(fall - 1)) + " to " + std::to_string(*fall) + " at position " +
                       std::to_string(fall - offsets.begin()));
  });
}

}  // namespace folio::detail
