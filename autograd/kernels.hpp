#pragma once
// The kernel contract: autograd owns it, backends implement it. autograd/kernels.def lists every kernel with its
// signature; each backend fills one const table from that list, so a kernel that a backend lacks does not link.
#include <span>
#include <string>
#include <utility>

#include "autograd/kernel_types.hpp"
#include "autograd/profile_hooks.hpp"
#include "autograd/random.hpp"
#include "autograd/tensor.hpp"

namespace folio {

struct Kernels {
#define KERNEL(name, layout, halves, parameters) void(*name) parameters;
#include "autograd/kernels.def"
#undef KERNEL
};

/// Whether a kernel reads strides, or wants packed inputs.
enum class Layout { strided, contiguous };
/// Whether a CPU kernel takes 16-bit floats as they are, or widened to float32.
enum class Halves { native, widened };

/// The kernels of the device that a tensor is on.
const Kernels& kernels_of(Device device);

namespace detail {

inline void check_device(const Tensor& x, Device& device, bool& found, const char* kernel) {
  if (!x.defined()) return;
  if (!found) {
    device = x.device();
    found = true;
  }
  require(x.device() == device, [&] {
    return std::string(kernel) + ": tensors are on " + name_of(device) + " and on " + name_of(x.device()) +
           ": bring them together with to(Device)";
  });
}
inline void check_device(const Tensors& xs, Device& device, bool& found, const char* kernel) {
  for (const Tensor& x : xs) check_device(x, device, found, kernel);
}
template <class T>
void check_device(const T&, Device&, bool&, const char*) {}

/// The one place where a kernel that wants packed inputs gets them. Outputs (non-const references) pass as they are.
template <class Parameter>
struct Pass {
  template <Layout, class A>
  static A&& prepare(A&& argument) {
    return std::forward<A>(argument);
  }
};
Tensor packed(const Tensor& x);
template <>
struct Pass<const Tensor&> {
  template <Layout layout>
  static std::conditional_t<layout == Layout::contiguous, Tensor, const Tensor&> prepare(const Tensor& x) {
    if constexpr (layout == Layout::contiguous) return x.defined() ? packed(x) : x;
    if constexpr (layout == Layout::strided) return x;
  }
};
template <>
struct Pass<const Tensors&> {
  template <Layout layout>
  static Tensors prepare(const Tensors& xs) {
    Tensors all;
    for (const Tensor& x : xs) all.push_back(Pass<const Tensor&>::prepare<layout>(x));
    return all;
  }
};

}  // namespace detail

/// A kernel as ops call it: `kernel::exp(x, y)` chooses the device once, from its tensors.
template <Layout layout, class... Parameters>
struct KernelCall {
  void (*Kernels::*entry)(Parameters...);
  const char* name;

  template <class... Arguments>
  void operator()(Arguments&&... arguments) const {
    Device device = Device::cpu;
    bool found = false;
    (detail::check_device(arguments, device, found, name), ...);
    const detail::ProfiledKernel profiled(name);
    (kernels_of(device).*
     entry)(detail::Pass<Parameters>::template prepare<layout>(std::forward<Arguments>(arguments))...);
  }
};

namespace kernel {
namespace detail {
template <Layout layout, class... Parameters>
constexpr KernelCall<layout, Parameters...> make(void (*Kernels::*entry)(Parameters...), const char* name) {
  return {entry, name};
}
}  // namespace detail
#define KERNEL(name, layout, halves, parameters) \
  inline constexpr auto name = detail::make<Layout::layout>(&Kernels::name, #name);
#include "autograd/kernels.def"
#undef KERNEL
}  // namespace kernel

namespace cpu {
#define KERNEL(name, layout, halves, parameters) void name parameters;
#include "autograd/kernels.def"
#undef KERNEL
}  // namespace cpu

}  // namespace folio
