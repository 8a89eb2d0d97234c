// Linked by programs that offer device cuda where the build lacks it.
#include "autograd/error.hpp"
#include "cuda/backend.hpp"
#include "cuda/clock.hpp"

namespace folio::cuda {

void enable() {
  throw Error(
      "device cuda: this build has no CUDA backend: there was no nvcc 12.5 with cuBLAS, or FOLIO_CUDA was OFF; "
      "device cuda-emulated runs the same kernels on the CPU");
}

constexpr GpuClock gpu_clock = {};

}  // namespace folio::cuda
