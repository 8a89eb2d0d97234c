#pragma once
// oneDNN's matrix product, called on one thread. gemm_onednn.cpp where CMake finds oneDNN, gemm_without_onednn.cpp else.
#include "autograd/cpu/gemm.hpp"

namespace folio::cpu {

/// Whether this build has it.
extern const bool has_onednn;

/// Computes one product with m, n, k ≥ 1 on the calling thread. Rows of A and B, or columns where those are packed, must
/// not overlap: oneDNN refuses other strides, and what it refuses is an Error that names the shape.
void multiply_onednn(const Product<float>& product);

}  // namespace folio::cpu
