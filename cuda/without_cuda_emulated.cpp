// Linked by programs that offer device cuda-emulated where the build lacks it.
#include "autograd/error.hpp"
#include "cuda/backend.hpp"
#include "cuda/clock.hpp"

namespace folio::cuda_emulated {

void enable() { throw Error("device cuda-emulated: this build has no emulator, since Boost.Context was not found"); }

constexpr GpuClock gpu_clock = {};

}  // namespace folio::cuda_emulated
