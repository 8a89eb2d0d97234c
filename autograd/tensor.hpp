#pragma once
#include <initializer_list>
#include <iosfwd>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "autograd/dtype.hpp"
#include "autograd/shape.hpp"
#include "autograd/storage.hpp"

namespace folio {

struct GradientSlot;
class Generator;

/// Element type and place of a new tensor.
struct Options {
  DType dtype = DType::float32;
  Device device = Device::cpu;
};

/// An n-dimensional array: a shape and strides over shared storage. Copying a Tensor copies the handle; views (reshape,
/// transpose, slice, expand …) share the storage. A tensor that requires a gradient is recorded by the Tape in scope.
class Tensor {
 public:
  Tensor() = default;
  /// A view of `storage`; library code uses the factories below.
  Tensor(std::shared_ptr<Storage> storage, std::int64_t offset, const Shape& shape, const Strides& strides,
         DType dtype);

  bool defined() const { return impl_ != nullptr; }
  const Shape& shape() const { return impl().shape; }
  const Strides& strides() const { return impl().strides; }
  std::int64_t offset() const { return impl().offset; }
  int rank() const { return shape().size(); }
  /// The extent of a dimension, counted from the back if negative.
  std::int64_t dim(int i) const { return shape()[normalize_dim(i, rank(), "dim")]; }
  std::int64_t numel() const { return folio::numel(shape()); }
  DType dtype() const { return impl().dtype; }
  Device device() const { return storage()->device(); }
  bool is_contiguous() const;
  const std::shared_ptr<Storage>& storage() const { return impl().storage; }
  Options options() const { return {dtype(), device()}; }

  /// A typed host pointer to the first element; throws on another dtype or device.
  template <class T>
  const T* data() const {
    check_access(dtype_of<T>());
    return ptr<T>();
  }
  /// The same, for writing: counts as an in-place change, which the tape reports if it had saved this tensor.
  template <class T>
  T* mutable_data() {
    check_access(dtype_of<T>());
    mark_changed();
    return ptr<T>();
  }
  /// Unchecked pointer for kernels.
  template <class T>
  T* ptr() const {
    return reinterpret_cast<T*>(impl().storage->data()) + impl().offset;
  }
  void mark_changed() { ++storage()->version; }

  /// The only element of a one-element tensor.
  double item() const;
  /// All elements in row-major order, converted.
  std::vector<double> to_vector() const;

  bool requires_grad() const { return defined() && impl_->slot != nullptr; }
  /// Makes a float tensor a leaf whose gradient `Tape::backward` fills in. One that is a leaf already keeps its gradient.
  /// `false` makes it a constant, without its gradient: an Error while a live tape has recorded an op on it.
  Tensor& requires_grad(bool on);
  /// The gradient that backward left on a leaf, undefined before.
  Tensor grad() const;
  void set_grad(Tensor gradient);
  void zero_grad() { set_grad({}); }
  /// The same values, cut off from the tape.
  Tensor detach() const;
  /// A packed copy with storage of its own, cut off from the tape.
  Tensor clone() const;

  // In place, outside the tape: for initialisation, optimizers and caches. Refused on a recorded op's result; where an op
  // has saved another tensor that is changed so, backward is an Error.
  void fill(double value);
  /// Copies values of the same shape (any layout, dtype or device) into this tensor.
  void copy_from(const Tensor& source);
  /// Brings this tensor, under all of its handles, and its gradient to a device; views that share its storage stay. An
  /// Error while a live tape has recorded an op on it: the gradient to come belongs where it was.
  void move_to(Device device);
  /// Converts this tensor of floats, under all of its handles, and its gradient to another float dtype; else as move_to.
  void convert_to(DType dtype);
  /// An Error, in the name of `what`, while a live tape has recorded an op on this tensor.
  void require_unrecorded(const char* what) const;

  // Shorthand for the ops of the same name in autograd/ops.hpp.
  Tensor reshape(Shape shape) const;
  Tensor transpose(int a, int b) const;
  Tensor permute(const Dims& order) const;
  Tensor slice(int dim, std::int64_t begin, std::int64_t end) const;
  Tensor expand(const Shape& shape) const;
  Tensor contiguous() const;
  Tensor to(DType dtype) const;
  Tensor to(Device device) const;

  const std::shared_ptr<GradientSlot>& slot() const { return impl().slot; }
  void set_slot(std::shared_ptr<GradientSlot> slot) { impl().slot = std::move(slot); }
  /// Whether two handles mean the same tensor (not merely equal values).
  bool is(const Tensor& other) const { return impl_ == other.impl_; }
  /// Whether nobody else holds this tensor's storage.
  bool is_sole_owner() const { return impl_.use_count() == 1 && impl_->storage.use_count() == 1; }

 private:
  struct Impl {
    std::shared_ptr<Storage> storage;
    std::int64_t offset = 0;
    Shape shape;
    Strides strides;
    DType dtype = DType::float32;
    std::shared_ptr<GradientSlot> slot;
  };
  Impl& impl() const {
    require(impl_ != nullptr, [] { return std::string("an undefined tensor was used: it holds no values yet"); });
    return *impl_;
  }
  void check_access(DType dtype) const;
  void become(Options options, const char* what);
  std::shared_ptr<Impl> impl_;
};

using Tensors = std::vector<Tensor>;

/// Copies the second of each pair into the first, as copy_from, but as if all were read before any is written.
void copy_all(std::vector<std::pair<Tensor, Tensor>> pairs);

/// Uninitialised; NaN-free only once a kernel has written it.
Tensor empty(const Shape& shape, Options options = {});
Tensor empty_like(const Tensor& x);
Tensor zeros(const Shape& shape, Options options = {});
Tensor ones(const Shape& shape, Options options = {});
Tensor full(const Shape& shape, double value, Options options = {});
/// 0, 1, …, n − 1.
Tensor arange(std::int64_t n, Options options = {DType::int64});
/// A vector of the given values: `tensor({1, 2, 3})`.
Tensor tensor(std::initializer_list<double> values, Options options = {});
/// Values in row-major order, as many as `shape` has elements, converted to the dtype of `options`: an Error with its
/// position where an index dtype lacks one, as NaN and 3e9 are no int32. So it is for every factory.
Tensor from_vector(std::span<const double> values, const Shape& shape, Options options = {});
Tensor from_vector(std::span<const float> values, const Shape& shape, Options options = {});
Tensor from_vector(std::span<const std::int64_t> values, const Shape& shape, Options options = {DType::int64});
Tensor from_indices(std::span<const std::int32_t> values, const Shape& shape);
/// Standard normal, drawn from an explicit generator.
Tensor randn(const Shape& shape, Generator& generator, Options options = {});
/// Uniform in [low, high).
Tensor uniform(const Shape& shape, Generator& generator, double low = 0, double high = 1, Options options = {});

/// Prints values as nested rows, long dimensions shortened with "…".
std::ostream& operator<<(std::ostream& out, const Tensor& x);
/// "float32 (2, 3)": for messages.
std::string describe(const Tensor& x);

}  // namespace folio
