#include "examples/device.hpp"

#include "autograd/error.hpp"
#include "cuda/backend.hpp"

namespace folio::examples {

Device chosen_device(const std::string& name) {
  if (name == name_of(Device::cpu)) return Device::cpu;
  if (name == name_of(Device::cuda)) {
    cuda::enable();
    return Device::cuda;
  }
  require(name == name_of(Device::cuda_emulated),
          [&] { return "no device '" + name + "'; there are cpu, cuda and cuda-emulated"; });
  cuda_emulated::enable();
  return Device::cuda_emulated;
}

}  // namespace folio::examples
