#pragma once
#include <memory>

#include "autograd/tensor.hpp"

namespace folio {

class CopyFromHost;

/// The values of a host tensor on their way to a device, beside the ops that run there. On the CPU they are there already.
class DeviceCopy {
 public:
  DeviceCopy() = default;
  DeviceCopy(const Tensor& x, Device device);

  /// The tensor on its device. Ops on it run behind the copy; the host waits for nothing.
  const Tensor& arrived();

 private:
  Tensor there_;
  std::shared_ptr<CopyFromHost> copy_;
};

}  // namespace folio
