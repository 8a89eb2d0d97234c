#include "examples/device.hpp"

#include "autograd/error.hpp"
#include "autograd/settings.hpp"
#include "cuda/backend.hpp"

namespace folio::examples {

namespace {

Device device_named(const std::string& name) {
  for (const Device device : {Device::cpu, Device::cuda, Device::cuda_emulated}) {
    if (name == name_of(device)) return device;
  }
  throw Error("no device '" + name + "'; there are cpu, cuda and cuda-emulated");
}

}  // namespace

Device chosen_device(const std::string& name, const std::optional<std::string>& gemm, std::optional<bool> tf32) {
  const Device device = device_named(name);
  require(device == Device::cpu || !gemm, [&] {
    return "--gemm is for matrix products on the CPU: those of device " + name + " are cuBLAS's, so leave it out";
  });
  require(device != Device::cpu || !tf32.value_or(false), [] {
    return std::string("--tf32 is for matrix products on a GPU: give --device cuda or cuda-emulated too");
  });
  if (device == Device::cuda) cuda::enable();
  if (device == Device::cuda_emulated) cuda_emulated::enable();
  if (gemm) set_gemm_provider(*gemm);
  set_tf32(tf32.value_or(device == Device::cuda));
  return device;
}

}  // namespace folio::examples
