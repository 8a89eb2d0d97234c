#pragma once
// oneDNN's matrix product, called on one thread. gemm_onednn.cpp where CMake finds oneDNN, gemm_without_onednn.cpp else.
#include "autograd/cpu/gemm.hpp"

namespace folio::cpu {

/// Whether this build has it.
extern const bool has_onednn;

/// Computes one product with m, n, k ≥ 1 on the calling thread.
void multiply_onednn(const Product<float>& product);

}  // namespace folio::cpu
