#include "examples/device.hpp"

#include "autograd/error.hpp"
#include "cuda/backend.hpp"

namespace folio::examples {

Device chosen_device(const std::string& name) {
  if (name == name_of(Device::cpu)) return Device::cpu;
  if (name == name_of(Device::cuda)) {
#ifdef FOLIO_HAS_CUDA
    cuda::enable();
    return Device::cuda;
#else
    throw Error(
        "device cuda: this build has no CUDA backend, since there was no nvcc; device cuda-emulated runs the same "
        "kernels on the CPU");
#endif
  }
  require(name == name_of(Device::cuda_emulated),
          [&] { return "no device '" + name + "'; there are cpu, cuda and cuda-emulated"; });
#ifdef FOLIO_HAS_CUDA_EMULATED
  cuda_emulated::enable();
  return Device::cuda_emulated;
#else
  throw Error("device cuda-emulated: this build has no emulator, since Boost.Context was not found");
#endif
}

}  // namespace folio::examples
