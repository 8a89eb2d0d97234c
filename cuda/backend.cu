// The table of this backend's kernels: one entry for each of autograd/kernels.def.
#include "autograd/backend.hpp"
#include "cuda/backend.hpp"
#include "cuda/memory.hpp"

namespace folio::FOLIO_CUDA {
namespace {

constexpr Backend table = {allocate,
                           deallocate,
                           copy_from_host,
                           copy_to_host,
                           begin_copy_to_host,
                           begin_copy_from_host,
                           held_memory,
                           release_cached_memory,
                           {
#define KERNEL(name, layout, halves, parameters) &entry::name,
#include "autograd/kernels.def"
#undef KERNEL
                           }};

}  // namespace

void enable() {
  int gpus = 0;
  const cudaError_t status = cudaGetDeviceCount(&gpus);
  cudaGetLastError();
  require(status == cudaSuccess && gpus > 0, [&] {
    return std::string("device cuda: there is no GPU that CUDA can use (") +
           (status == cudaSuccess ? "none found" : cudaGetErrorString(status)) +
           "); device cuda-emulated runs the same kernels on the CPU";
  });
#ifdef FOLIO_CUDA_EMULATED
  enable_backend(Device::cuda_emulated, table);
#else
  enable_backend(Device::cuda, table);
#endif
}

}  // namespace folio::FOLIO_CUDA
