#pragma once
// The one place where kernels that know float32 and float64 alone get 16-bit floats: inputs are widened to float32, the
// kernel computes and sums in it, and each output is rounded once.
#include <tuple>

#include "autograd/cpu/elementwise.hpp"
#include "autograd/kernels.hpp"

namespace folio::cpu {
namespace detail {

inline bool holds_halves(const Tensor& x) { return x.defined() && is_half(x.dtype()); }

/// y = x, where one of them may hold 16-bit floats.
inline void widen_or_round(const Tensor& x, Tensor& y) {
  map_elements<float>(
      y, [](const auto& x) { return x; }, x);
}

/// An argument as the kernel gets it; `finish` brings results home.
template <class Parameter>
struct Argument {
  Parameter given;
  Parameter get() { return given; }
  void finish() {}
};
template <>
struct Argument<const Tensor&> {
  explicit Argument(const Tensor& given) : wide(given) {
    if (!holds_halves(given)) return;
    wide = empty(given.shape(), {DType::float32});
    widen_or_round(given, wide);
  }
  const Tensor& get() const { return wide; }
  void finish() {}
  Tensor wide;
};
template <>
struct Argument<const Tensors&> {
  explicit Argument(const Tensors& given) {
    for (const Tensor& x : given) wide.push_back(Argument<const Tensor&>(x).wide);
  }
  const Tensors& get() const { return wide; }
  void finish() {}
  Tensors wide;
};
template <>
struct Argument<Tensor&> {
  explicit Argument(Tensor& given)
      : given(given), wide(holds_halves(given) ? empty(given.shape(), {DType::float32}) : Tensor()) {}
  Tensor& get() { return wide.defined() ? wide : given; }
  void finish() {
    if (wide.defined()) widen_or_round(wide, given);
  }
  Tensor& given;
  Tensor wide;
};

template <auto kernel>
struct Widened;
template <class... Parameters, void (*kernel)(Parameters...)>
struct Widened<kernel> {
  static void call(Parameters... parameters) {
    std::tuple<Argument<Parameters>...> arguments{Argument<Parameters>{parameters}...};
    std::apply(
        [](auto&... each) {
          kernel(each.get()...);
          (each.finish(), ...);
        },
        arguments);
  }
};

}  // namespace detail

/// The kernel as the table of this backend holds it. A widened kernel writes all of its outputs and reads none of them.
template <Halves halves, auto kernel>
constexpr auto taking_halves() {
  if constexpr (halves == Halves::native) {
    return kernel;
  } else {
    return &detail::Widened<kernel>::call;
  }
}

}  // namespace folio::cpu
