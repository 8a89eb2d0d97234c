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

namespace detail {

constexpr std::int64_t chunk = 2048;  // elements per call of a formula; its buffers stay in L1
constexpr std::int64_t task = 32768;  // elements per parallel task

/// `length` elements from `source` at `stride`, packed into `buffer` unless they already are.
template <class T>
const T* packed_run(const T* source, std::int64_t stride, std::int64_t length, T* buffer) {
  if (stride == 1) return source;
  if (stride == 0) {
    std::fill(buffer, buffer + length, *source);
  } else {
    for (std::int64_t i = 0; i < length; ++i) buffer[i] = source[i * stride];
  }
  return buffer;
}

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
inline const Tensor* tensor_of(const Tensor& x) { return &x; }
template <class U>
const Tensor* tensor_of(const As<U>& x) {
  return &x.tensor;
}

}  // namespace detail

/// y = formula(x…), element by element, for any strides and broadcasts. `formula` maps Eigen array expressions of element
/// type T (or that of an operand wrapped in As) to one of type T; chunk borders depend on shapes only.
template <class T, class Formula, class... In>
void map_elements(Tensor& y, Formula&& formula, const In&... x) {
  constexpr int operands = 1 + sizeof...(In);
  if (y.numel() == 0) return;
  const Walk<operands> walk = make_walk<operands>({&y, detail::tensor_of(x)...});
  const std::tuple<T*, typename detail::ElementOf<T, In>::type*...> base = {
      y.ptr<T>(), detail::tensor_of(x)->template ptr<typename detail::ElementOf<T, In>::type>()...};
  const std::int64_t runs_per_task = std::max<std::int64_t>(1, detail::task / walk.length);
  const std::int64_t pieces = walk.length > detail::task ? (walk.length + detail::task - 1) / detail::task : 1;
  const std::int64_t run_tasks = (walk.runs + runs_per_task - 1) / runs_per_task;

  parallel_for(run_tasks * pieces, [&](std::int64_t index) {
    alignas(64) std::array<T, detail::chunk> result;
    alignas(64) std::tuple<std::array<typename detail::ElementOf<T, In>::type, detail::chunk>...> buffers;
    const std::int64_t first = index / pieces * runs_per_task;
    const std::int64_t last = std::min(first + runs_per_task, walk.runs);
    const std::int64_t from = index % pieces * detail::task;
    const std::int64_t to = std::min(from + detail::task, walk.length);
    for (std::int64_t run = first; run < last; ++run) {
      const auto at = walk.offsets(run);
      for (std::int64_t begin = from; begin < to; begin += detail::chunk) {
        const std::int64_t length = std::min(detail::chunk, to - begin);
        const std::int64_t out_stride = walk.inner_stride(0);
        T* out = std::get<0>(base) + at[0] + begin * out_stride;
        T* target = out_stride == 1 ? out : result.data();
        [&]<std::size_t... I>(std::index_sequence<I...>) {
          MutableRow<T>(target, length) = formula(Row<typename detail::ElementOf<T, In>::type>(
              detail::packed_run(std::get<I + 1>(base) + at[I + 1] + begin * walk.inner_stride(I + 1),
                                 walk.inner_stride(I + 1), length, std::get<I>(buffers).data()),
              length)...);
        }(std::index_sequence_for<In...>{});
        if (out_stride != 1) {
          for (std::int64_t i = 0; i < length; ++i) out[i * out_stride] = target[i];
        }
      }
    }
  });
}

/// map_elements for float tensors, entered by dtype.
template <class Formula, class... In>
void map_floats(Tensor& y, Formula&& formula, const In&... x) {
  visit_float(y.dtype(), [&](auto tag) { map_elements<decltype(tag)>(y, formula, x...); });
}

}  // namespace folio::cpu
