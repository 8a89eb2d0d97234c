#include "autograd/device_copy.hpp"

#include "autograd/backend.hpp"

namespace folio {

DeviceCopy::DeviceCopy(const Tensor& x, Device device) : there_(x) {
  if (device == Device::cpu) return;
  const Tensor from = detail::packed(x.detach());
  there_ = empty(x.shape(), {x.dtype(), device});
  const std::size_t size = size_of(x.dtype());
  copy_ = backend(device).begin_copy_from_host(there_,
                                               from.storage()->data() + static_cast<std::size_t>(from.offset()) * size);
}

const Tensor& DeviceCopy::arrived() {
  copy_.reset();
  return there_;
}

}  // namespace folio
