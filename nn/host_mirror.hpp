#pragma once
#include <memory>
#include <span>
#include <vector>

#include "autograd/tensor.hpp"

namespace folio {

/// The values of a small float32 tensor on the host, for an owner who computes them there. A device is asked for them once,
/// and again only where somebody else has written to the tensor, so that a training step waits for nothing.
class HostMirror {
 public:
  /// The tensor's values.
  std::span<const float> read(const Tensor& x);
  /// Gives the tensor new ones, as many as it has elements.
  void write(Tensor& x, std::span<const float> values);

 private:
  void is_of(const Tensor& x);

  std::vector<float> values_;
  std::weak_ptr<Storage> storage_;
  std::uint32_t version_ = 0;
};

}  // namespace folio
