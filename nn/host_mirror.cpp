#include "nn/host_mirror.hpp"

namespace folio {

void HostMirror::is_of(const Tensor& x) {
  storage_ = x.storage();
  version_ = x.storage()->version;
}

std::span<const float> HostMirror::read(const Tensor& x) {
  const bool fresh = storage_.lock() == x.storage() && version_ == x.storage()->version;
  if (!fresh || x.device() == Device::cpu) {
    const std::vector<double> values = x.to_vector();
    values_.assign(values.begin(), values.end());
    is_of(x);
  }
  return values_;
}

void HostMirror::write(Tensor& x, std::span<const float> values) {
  x.copy_from(from_vector(values, x.shape(), x.options()));
  values_.assign(values.begin(), values.end());
  is_of(x);
}

}  // namespace folio
