#include "examples/device.hpp"

#include "autograd/error.hpp"
#include "autograd/settings.hpp"
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

void choose_products(Device device, const std::optional<std::string>& gemm, std::optional<bool> tf32) {
  require(device == Device::cpu || !gemm, [&] {
    return std::string("--gemm is for matrix products on the CPU: those of device ") + name_of(device) +
           " are cuBLAS's, so leave it out";
  });
  require(device != Device::cpu || !tf32.value_or(false), [] {
    return std::string("--tf32 is for matrix products on a GPU: give --device cuda or cuda-emulated too");
  });
  if (gemm) set_gemm_provider(*gemm);
  set_tf32(tf32.value_or(device == Device::cuda));
}

}  // namespace folio::examples
