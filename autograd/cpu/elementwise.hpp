#pragma once
// The one iterator behind every element-wise kernel. Not a public header: it brings in Eigen.
#include <Eigen/Core>
#include <algorithm>
#include <array>
#include <tuple>
#include <utility>

#include "autograd/cpu/iterate.hpp"
#include "autograd/cpu/parallel.hpp"

namespace folio::cpu {

template <class T>
using Row = Eigen::Map<const Eigen::Array<T, Eigen::Dynamic, 1>>;
template <class T>
using MutableRow = Eigen::Map<Eigen::Array<T, Eigen::Dynamic, 1>>;
/// Room for a row. It begins where a vector may: Eigen takes the ends of a row that does not one element at a time.
template <class T>
using RowBuffer = Eigen::Array<T, Eigen::Dynamic, 1>;

namespace detail {

constexpr std::int64_t chunk = 2048;  // elements per call of a formula; its buffers stay in L1
constexpr std::int64_t task = 32768;  // elements per parallel task

/// `length` elements from `source` at `stride`, packed into `buffer` and converted to T.
template <class T, class Stored>
void pack_run(const Stored* source, std::int64_t stride, std::int64_t length, T* buffer) {
  if (stride == 0) {
    std::fill(buffer, buffer + length, convert_to<T>(*source));
  } else if (stride == 1) {
    for (std::int64_t i = 0; i < length; ++i) buffer[i] = convert_to<T>(source[i]);
  } else {
    for (std::int64_t i = 0; i < length; ++i) buffer[i] = convert_to<T>(source[i * stride]);
  }
}

/// `length` elements to `target` at `stride`, converted from T.
template <class T, class Stored>
void unpack_run(const T* values, std::int64_t length, Stored* target, std::int64_t stride) {
  if (stride == 1) {
    for (std::int64_t i = 0; i < length; ++i) target[i] = convert_to<Stored>(values[i]);
  } else {
    for (std::int64_t i = 0; i < length; ++i) target[i * stride] = convert_to<Stored>(values[i]);
  }
}

/// A tensor whose elements a kernel takes and gives as T; undefined, it only stands for nothing. Where T is float, it may
/// hold 16-bit floats.
template <class T>
class Elements {
 public:
  explicit Elements(const Tensor& x) {
    if (!x.defined()) return;
    dtype_ = x.dtype();
    data_ = is_half(dtype_) ? static_cast<void*>(x.ptr<std::uint16_t>()) : x.ptr<T>();
  }

  /// A run of elements as T: in place where they are packed already, else in `buffer`.
  const T* read(std::int64_t at, std::int64_t stride, std::int64_t length, T* buffer) const {
    if (stride == 1 && !converts()) return of<T>() + at;
    visit([&](auto* data) { pack_run(data + at, stride, length, buffer); });
    return buffer;
  }
  /// Where a run may be written as T: in place or in `buffer`, from where `write` brings it home.
  T* target(std::int64_t at, std::int64_t stride, T* buffer) const {
    return stride == 1 && !converts() ? of<T>() + at : buffer;
  }
  void write(const T* values, std::int64_t at, std::int64_t stride, std::int64_t length) const {
    if (stride == 1 && !converts()) return;
    visit([&](auto* data) { unpack_run(values, length, data + at, stride); });
  }

 private:
  bool converts() const { return std::is_same_v<T, float> && is_half(dtype_); }
  template <class Stored>
  Stored* of() const {
    return static_cast<Stored*>(data_);
  }
  template <class F>
  void visit(F&& f) const {
    if constexpr (std::is_same_v<T, float>) {
      if (dtype_ == DType::bfloat16) return f(of<bfloat16>());
      if (dtype_ == DType::float16) return f(of<float16>());
    }
    f(of<T>());
  }

  void* data_ = nullptr;
  DType dtype_ = DType::float32;  ///< matters where it is a 16-bit float
};

}  // namespace detail

/// An operand of map_elements whose elements are of another type than the result's: `As<std::int32_t>{mask}`.
template <class Element>
struct As {
  const Tensor& tensor;
};

namespace detail {

template <class T, class Operand>
struct ElementOf {
  using type = T;
};
template <class T, class U>
struct ElementOf<T, As<U>> {
  using type = U;
};
/// Room for a chunk, which a tuple does not fill with zeros.
template <class T>
struct Buffer {
  Buffer() {}  // NOLINT(modernize-use-equals-default): that would
  alignas(64) std::array<T, chunk> elements;
};
inline const Tensor* tensor_of(const Tensor& x) { return &x; }
template <class U>
const Tensor* tensor_of(const As<U>& x) {
  return &x.tensor;
}

}  // namespace detail

/// y = formula(x…), element by element, for any strides and broadcasts. `formula` maps Eigen array expressions of element
/// type T (or that of an operand wrapped in As) to one of type T; chunk borders depend on shapes only. Operands of float
/// may hold 16-bit floats, which are converted a chunk at a time.
template <class T, class Formula, class... In>
void map_elements(Tensor& y, Formula&& formula, const In&... x) {
  constexpr int operands = 1 + sizeof...(In);
  if (y.numel() == 0) return;
  const Walk<operands> walk = make_walk<operands>({&y, detail::tensor_of(x)...});
  const detail::Elements<T> out(y);
  const std::tuple<detail::Elements<typename detail::ElementOf<T, In>::type>...> in{
      detail::Elements<typename detail::ElementOf<T, In>::type>(*detail::tensor_of(x))...};
  const std::int64_t runs_per_task = std::max<std::int64_t>(1, detail::task / walk.length);
  const std::int64_t pieces = walk.length > detail::task ? (walk.length + detail::task - 1) / detail::task : 1;
  const std::int64_t run_tasks = (walk.runs + runs_per_task - 1) / runs_per_task;

  parallel_for(run_tasks * pieces, [&](std::int64_t index) {
    detail::Buffer<T> result;
    std::tuple<detail::Buffer<typename detail::ElementOf<T, In>::type>...> buffers;
    const std::int64_t first = index / pieces * runs_per_task;
    const std::int64_t last = std::min(first + runs_per_task, walk.runs);
    const std::int64_t from = index % pieces * detail::task;
    const std::int64_t to = std::min(from + detail::task, walk.length);
    for (std::int64_t run = first; run < last; ++run) {
      const auto at = walk.offsets(run);
      for (std::int64_t begin = from; begin < to; begin += detail::chunk) {
        const std::int64_t length = std::min(detail::chunk, to - begin);
        const std::int64_t out_stride = walk.inner_stride(0);
        const std::int64_t out_at = at[0] + begin * out_stride;
        T* target = out.target(out_at, out_stride, result.elements.data());
        [&]<std::size_t... I>(std::index_sequence<I...>) {
          MutableRow<T>(target, length) = formula(Row<typename detail::ElementOf<T, In>::type>(
              std::get<I>(in).read(at[I + 1] + begin * walk.inner_stride(I + 1), walk.inner_stride(I + 1), length,
                                   std::get<I>(buffers).elements.data()),
              length)...);
        }(std::index_sequence_for<In...>{});
        out.write(target, out_at, out_stride, length);
      }
    }
  });
}

/// map_elements for float tensors, 16-bit ones too, entered by dtype.
template <class Formula, class... In>
void map_floats(Tensor& y, Formula&& formula, const In&... x) {
  visit_compute(y.dtype(), [&](auto tag) { map_elements<decltype(tag)>(y, formula, x...); });
}

}  // namespace folio::cpu
