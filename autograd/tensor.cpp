#include "autograd/tensor.hpp"

#include <algorithm>
#include <cstring>
#include <map>

#include "autograd/backend.hpp"
#include "autograd/cpu/indices.hpp"
#include "autograd/cpu/parallel.hpp"
#include "autograd/ops.hpp"
#include "autograd/random.hpp"
#include "autograd/tape.hpp"

namespace folio {

Tensor::Tensor(std::shared_ptr<Storage> storage, std::int64_t offset, const Shape& shape, const Strides& strides,
               DType dtype)
    : impl_(std::make_shared<Impl>(std::move(storage), offset, shape, strides, dtype)) {}

bool Tensor::is_contiguous() const {
  std::int64_t expected = 1;
  for (int i = rank() - 1; i >= 0; --i) {
    if (shape()[i] != 1 && strides()[i] != expected) return numel() == 0;
    expected *= shape()[i];
  }
  return true;
}

void Tensor::check_access(DType wanted) const {
  require(dtype() == wanted, [&] {
    return "data: asked for " + std::string(name_of(wanted)) + " of a tensor that is " + describe(*this) +
           ": convert it with to(DType)";
  });
  require(device() == Device::cpu, [&] {
    return "data: the tensor is on " + std::string(name_of(device())) + ": bring it with to(Device::cpu)";
  });
}

double Tensor::item() const {
  require(numel() == 1, [&] { return "item: needs one element, got " + describe(*this); });
  return to_vector().front();
}

std::vector<double> Tensor::to_vector() const {
  const Tensor host = detach().to(Device::cpu).contiguous();
  std::vector<double> values(static_cast<std::size_t>(numel()));
  visit_any(dtype(), [&](auto tag) {
    using T = decltype(tag);
    std::transform(host.ptr<T>(), host.ptr<T>() + values.size(), values.begin(),
                   [](T v) { return folio::convert_to<double>(v); });
  });
  return values;
}

Tensor& Tensor::requires_grad(bool on) {
  require(is_float(dtype()),
          [&] { return "requires_grad: only float tensors have gradients, this is " + describe(*this); });
  require(!requires_grad() || slot()->is_leaf(),
          [] { return std::string("requires_grad: this tensor is the result of an op; detach() it first"); });
  if (on == requires_grad()) return *this;
  if (!on) require_unrecorded("requires_grad");
  set_slot(on ? GradientSlot::leaf(*this) : nullptr);
  return *this;
}

void Tensor::require_unrecorded(const char* what) const {
  require(!requires_grad() || slot().use_count() == 1, [&] {
    return std::string(what) + ": a live tape has recorded an op on " + describe(*this) +
           ", and its gradient would be lost: call backward first, or let the tape go";
  });
}

Tensor Tensor::grad() const { return requires_grad() ? slot()->gradient : Tensor(); }

void Tensor::set_grad(Tensor gradient) {
  require(requires_grad() && slot()->is_leaf(),
          [] { return std::string("set_grad: only leaves that require a gradient hold one"); });
  require(!gradient.defined() || (gradient.shape() == shape() && gradient.dtype() == dtype()),
          [&] { return "set_grad: the gradient is " + describe(gradient) + " but the tensor is " + describe(*this); });
  slot()->gradient = std::move(gradient);
}

Tensor Tensor::detach() const { return {storage(), offset(), shape(), strides(), dtype()}; }

Tensor Tensor::clone() const {
  Tensor copy = empty(shape(), options());
  kernel::copy(*this, copy);
  return copy;
}

void Tensor::fill(double value) { copy_from(full({}, value, {dtype(), device()}).expand(shape())); }

void Tensor::copy_from(const Tensor& source) {
  require(source.shape() == shape(),
          [&] { return "copy_from: cannot copy " + describe(source) + " into " + describe(*this); });
  require(!requires_grad() || slot()->is_leaf(), [&] {
    return "copy_from: " + describe(*this) + " was recorded by a tape; change a detach()ed tensor instead";
  });
  const NoRecording pause;
  const bool overlaps = source.storage() == storage();
  const Tensor values = overlaps ? source.clone() : source.detach().to(dtype()).to(device());
  mark_changed();
  kernel::copy(values, *this);
}

void copy_all(std::vector<std::pair<Tensor, Tensor>> pairs) {
  std::map<const Storage*, int> written;
  for (const auto& [to, from] : pairs) ++written[to.storage().get()];
  for (auto& pair : pairs) {
    const auto& [to, from] = pair;
    const int itself = from.storage() == to.storage() ? 1 : 0;  // copy_from sees to that
    const auto found = written.find(from.storage().get());
    if (found != written.end() && found->second > itself) pair.second = from.clone();
  }
  for (auto& [to, from] : pairs) to.copy_from(from);
}

void Tensor::become(Options options, const char* what) {
  if (dtype() == options.dtype && device() == options.device) return;
  require(!requires_grad() || slot()->is_leaf(),
          [&] { return std::string(what) + ": " + describe(*this) + " was recorded by a tape; to() makes a copy"; });
  require_unrecorded(what);
  const auto brought = [&](const Tensor& x) { return x.detach().to(options.dtype).to(options.device); };
  Impl& mine = impl();
  const Tensor there = brought(*this), gradient = grad().defined() ? brought(grad()) : Tensor();
  mine.storage = there.storage(), mine.offset = there.offset(), mine.strides = there.strides();
  mine.dtype = options.dtype;
  if (mine.slot == nullptr) return;
  mine.slot = GradientSlot::leaf(*this);
  mine.slot->gradient = gradient;
}

void Tensor::move_to(Device device) { become({dtype(), device}, "move_to"); }

void Tensor::convert_to(DType dtype) {
  require(is_float(this->dtype()) && is_float(dtype), [&] {
    return "convert_to: only floats become other floats, this is " + describe(*this) + " and the dtype asked for " +
           name_of(dtype);
  });
  become({dtype, device()}, "convert_to");
}

Tensor Tensor::reshape(Shape shape) const { return folio::reshape(*this, shape); }
Tensor Tensor::transpose(int a, int b) const { return folio::transpose(*this, a, b); }
Tensor Tensor::permute(const Dims& order) const { return folio::permute(*this, order); }
Tensor Tensor::slice(int dim, std::int64_t begin, std::int64_t end) const {
  return folio::slice(*this, dim, begin, end);
}
Tensor Tensor::expand(const Shape& shape) const { return folio::expand(*this, shape); }
Tensor Tensor::contiguous() const { return folio::contiguous(*this); }
Tensor Tensor::to(DType dtype) const { return folio::cast(*this, dtype); }
Tensor Tensor::to(Device device) const { return folio::to_device(*this, device); }

Tensor empty(const Shape& shape, Options options) {
  for (std::int64_t extent : shape) {
    require(extent >= 0, [&] { return "empty: negative extent in shape " + to_string(shape); });
  }
  std::int64_t bytes = 0;
  require(!__builtin_mul_overflow(numel(shape), size_of(options.dtype), &bytes),
          [&] { return "empty: shape " + to_string(shape) + " has too many elements"; });
  return {std::make_shared<Storage>(static_cast<std::size_t>(bytes), options.device), 0, shape,
          contiguous_strides(shape), options.dtype};
}
Tensor empty_like(const Tensor& x) { return empty(x.shape(), x.options()); }

namespace {
/// Fills a host tensor, element(i) at i, and brings it to where it belongs. The first element that the dtype does not hold
/// is an Error of `factory`; to find the first, indices are filled one after another.
template <class F>
Tensor generate(const char* factory, const Shape& shape, Options options, F&& element) {
  Tensor host = empty(shape, {options.dtype, Device::cpu});
  const std::int64_t grain = is_float(options.dtype) ? 16384 : std::max<std::int64_t>(1, host.numel());
  visit_any(options.dtype, [&](auto tag) {
    using T = decltype(tag);
    cpu::parallel_ranges(host.numel(), grain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) host.ptr<T>()[i] = cpu::converted<T>(element(i), i, factory);
    });
  });
  return host.to(options.device);
}
}  // namespace

Tensor full(const Shape& shape, double value, Options options) {
  if (options.device == Device::cpu) return generate("full", shape, options, [=](std::int64_t) { return value; });
  visit_any(options.dtype, [&](auto tag) { cpu::converted<decltype(tag)>(value, 0, "full"); });
  Tensor x = empty(shape, options);
  kernel::fill(value, x);
  return x;
}
Tensor zeros(const Shape& shape, Options options) {
  if (options.device != Device::cpu) return full(shape, 0, options);
  Tensor x = empty(shape, options);
  std::memset(x.storage()->data(), 0, x.storage()->bytes());
  return x;
}
Tensor ones(const Shape& shape, Options options) { return full(shape, 1, options); }
Tensor arange(std::int64_t n, Options options) {
  return generate("arange", {n}, options, [](std::int64_t i) { return i; });
}
Tensor tensor(std::initializer_list<double> values, Options options) {
  return from_vector(std::span(values.begin(), values.size()), {static_cast<std::int64_t>(values.size())}, options);
}
namespace {
template <class T>
Tensor from_values(std::span<const T> values, const Shape& shape, Options options) {
  require(numel(shape) == static_cast<std::int64_t>(values.size()), [&] {
    return "from_vector: " + std::to_string(values.size()) + " values do not fill shape " + to_string(shape);
  });
  return generate("from_vector", shape, options, [&](std::int64_t i) { return values[static_cast<std::size_t>(i)]; });
}
}  // namespace

Tensor from_vector(std::span<const double> values, const Shape& shape, Options options) {
  return from_values(values, shape, options);
}
Tensor from_vector(std::span<const float> values, const Shape& shape, Options options) {
  return from_values(values, shape, options);
}
Tensor from_vector(std::span<const std::int64_t> values, const Shape& shape, Options options) {
  return from_values(values, shape, options);
}
Tensor from_indices(std::span<const std::int32_t> values, const Shape& shape) {
  require(numel(shape) == static_cast<std::int64_t>(values.size()), [&] {
    return "from_indices: " + std::to_string(values.size()) + " values do not fill shape " + to_string(shape);
  });
  Tensor x = empty(shape, {DType::int32});
  std::copy(values.begin(), values.end(), x.ptr<std::int32_t>());
  return x;
}
Tensor randn(const Shape& shape, Generator& generator, Options options) {
  const auto draw = generator.next_stream();
  return generate("randn", shape, options, [&](std::int64_t i) { return draw.normal(i); });
}
Tensor uniform(const Shape& shape, Generator& generator, double low, double high, Options options) {
  const auto draw = generator.next_stream();
  return generate("uniform", shape, options, [&](std::int64_t i) { return low + (high - low) * draw.uniform(i); });
}

std::string describe(const Tensor& x) {
  return x.defined() ? std::string(name_of(x.dtype())) + " " + to_string(x.shape()) : "undefined";
}

}  // namespace folio
