// The same values on another device      dx = dy on x's device
#include "autograd/backend.hpp"
#include "autograd/ops/op.hpp"
#include "autograd/profile_hooks.hpp"

namespace folio {

Tensor to_device(const Tensor& x, Device device) {
  if (x.device() == device) return x;
  const bool leaves_host = x.device() == Device::cpu;
  if (!leaves_host && device != Device::cpu) return to_device(to_device(x, Device::cpu), device);
  const Tensor from = detail::packed(x.detach());
  Tensor y = empty(x.shape(), {x.dtype(), device});
  const std::size_t bytes = static_cast<std::size_t>(x.numel()) * size_of(x.dtype());
  const auto* source = from.storage()->data() + static_cast<std::size_t>(from.offset()) * size_of(x.dtype());
  {
    const detail::ProfiledKernel profiled("copy between devices");
    const auto copy = leaves_host ? backend(device).copy_from_host : backend(x.device()).copy_to_host;
    copy(y.storage()->data(), source, bytes);
  }
  return record({.op = op::to_device,
                 .inputs = {x},
                 .outputs = {y},
                 .parameters = x.device(),
                 .backward = [](const Entry& e, const Tensors& dy) -> Tensors {
                   return {to_device(dy[0], e.parameter<Device>())};
                 }});
}

}  // namespace folio
