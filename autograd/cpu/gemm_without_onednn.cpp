#include "autograd/cpu/gemm_onednn.hpp"
#include "autograd/error.hpp"

namespace folio::cpu {

const bool has_onednn = false;

bool onednn_multiplies(DType) { return false; }

template <class T, class Out>
void multiply_onednn(const Product<T, Out>&) {
  throw Error("matmul: this build has no onednn");
}
template void multiply_onednn(const Product<float>&);
template void multiply_onednn(const Product<bfloat16>&);
template void multiply_onednn(const Product<bfloat16, float>&);
template void multiply_onednn(const Product<float16>&);
template void multiply_onednn(const Product<float16, float>&);

}  // namespace folio::cpu
