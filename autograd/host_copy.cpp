#include "autograd/host_copy.hpp"

#include <algorithm>

#include "autograd/backend.hpp"

namespace folio {

HostCopy::HostCopy(const Tensor& x) : state_(std::make_shared<Travelling>()) {
  if (x.device() == Device::cpu) {
    state_->values = x.to_vector();
    return;
  }
  state_->dtype = x.dtype();
  state_->values.resize(static_cast<std::size_t>(x.numel()));
  if (x.numel() > 0) state_->copy = backend(x.device()).begin_copy_to_host(detail::packed(x.detach()));
}

bool HostCopy::known() const { return state_ == nullptr || state_->copy == nullptr; }

const std::vector<double>& HostCopy::values() const {
  require(state_ != nullptr, [] { return std::string("HostCopy: of no tensor; give one to copy"); });
  if (known()) return state_->values;
  const std::byte* bytes = state_->copy->wait();
  visit_any(state_->dtype, [&](auto tag) {
    using T = decltype(tag);
    const auto* begin = reinterpret_cast<const T*>(bytes);
    std::transform(begin, begin + state_->values.size(), state_->values.begin(),
                   [](T v) { return convert_to<double>(v); });
  });
  state_->copy.reset();
  return state_->values;
}

}  // namespace folio
