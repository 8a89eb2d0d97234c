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

#ifndef FOLIO_CUDA_EMULATED
/// Throws where this build has nothing that the GPU runs: neither its own code nor PTX for its driver to translate.
void require_code() {
  cudaFuncAttributes of_kernel{};
  const cudaError_t status = cudaFuncGetAttributes(&of_kernel, some_kernel());
  cudaGetLastError();
  if (status != cudaErrorNoKernelImageForDevice && status != cudaErrorInvalidDeviceFunction) return check(status);
  cudaDeviceProp gpu{};
  check(cudaGetDeviceProperties(&gpu, 0));
  const std::string major = std::to_string(gpu.major), minor = std::to_string(gpu.minor);
  throw Error(std::string("device cuda: this build has no kernels for ") + gpu.name + ", compute capability " + major +
              "." + minor + ": build with -DFOLIO_CUDA_ARCHITECTURES=" + major + minor);
}
#endif

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
  require_code();
  enable_backend(Device::cuda, table);
#endif
}

}  // namespace folio::FOLIO_CUDA
