#pragma once
#include <memory>
#include <vector>

#include "autograd/tensor.hpp"

namespace folio {

class CopyToHost;

/// The values that a small tensor has now, on their way to the host. From the CPU they are there at once. From another
/// device they travel behind the ops issued so far, and only who asks for them waits: a training step later, nobody does.
class HostCopy {
 public:
  HostCopy() = default;
  explicit HostCopy(const Tensor& x);

  /// Whether they are known already: on the CPU, or because somebody asked before.
  bool known() const;
  /// All elements in row-major order, converted.
  const std::vector<double>& values() const;

 private:
  struct Travelling {
    std::shared_ptr<CopyToHost> copy;  ///< null once the values are known
    DType dtype;
    std::vector<double> values;
  };
  std::shared_ptr<Travelling> state_;
};

}  // namespace folio
