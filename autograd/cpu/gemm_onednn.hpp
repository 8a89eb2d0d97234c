#pragma once
// oneDNN's matrix product, called on one thread. gemm_onednn.cpp where CMake finds oneDNN, gemm_without_onednn.cpp else.
#include "autograd/cpu/gemm.hpp"

namespace folio::cpu {

/// Whether this build has it.
extern const bool has_onednn;

/// Whether it multiplies matrices of this dtype with instructions made for it: float32 always, 16-bit floats where the
/// processor has them and the library knows them.
bool onednn_multiplies(DType dtype);

/// Computes one product with m, n, k ≥ 1, of a dtype that it multiplies, on the calling thread. Rows of A and B, or columns
/// where those are packed, must not overlap: oneDNN refuses other strides, and what it refuses is an Error that names the
/// shape.
template <class T, class Out>
void multiply_onednn(const Product<T, Out>& product);

}  // namespace folio::cpu
