// The same values on another device      dx = dy on x's device
#include "autograd/backend.hpp"
#include "autograd/ops/op.hpp"

namespace folio {

Tensor to_device(const Tensor& x, Device device) {
  if (x.device() == device) return x;
  const Tensor from = detail::packed(x.detach());
  Tensor y = empty(x.shape(), {x.dtype(), device});
  const std::size_t bytes = static_cast<std::size_t>(x.numel()) * size_of(x.dtype());
  const auto* source = from.storage()->data() + static_cast<std::size_t>(from.offset()) * size_of(x.dtype());
  if (x.device() == Device::cpu) {
    backend(device).copy_from_host(y.storage()->data(), source, bytes);
  } else if (device == Device::cpu) {
    backend(x.device()).copy_to_host(y.storage()->data(), source, bytes);
  } else {
    return to_device(to_device(x, Device::cpu), device);
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
