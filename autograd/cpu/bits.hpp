#pragma once
#include <cstdint>

#include "autograd/dtype.hpp"

namespace folio::cpu {

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

}  // namespace folio::cpu
