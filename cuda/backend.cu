// The table of this backend's kernels: one entry for each of autograd/kernels.def.
#include <algorithm>
#include <iterator>
#include <string_view>

#include "autograd/backend.hpp"
#include "cuda/backend.hpp"
#include "cuda/memory.hpp"

namespace folio::FOLIO_CUDA {
namespace {

void refuse_halves(const Tensor& x, const char* kernel) {
  require(!x.defined() || !is_half(x.dtype()), [&] {
    return std::string(kernel) + ": " + describe(x) + " on " + name_of(x.device()) +
           ": this device has no kernel for 16-bit floats; convert with to(DType::float32)";
  });
}
template <typename T>
void refuse_halves(const T&, const char*) {}

/// Kernels that know float32 and float64 alone so far, one a line.
constexpr std::string_view without_halves[] = {
    "causal_attention",
    "causal_attention_backward",
};

constexpr bool takes_halves(std::string_view kernel) {
  return std::find(std::begin(without_halves), std::end(without_halves), kernel) == std::end(without_halves);
}

template <const char* name, auto kernel>
struct WithoutHalves;
template <const char* name, typename... Parameters, void (*kernel)(Parameters...)>
struct WithoutHalves<name, kernel> {
  static void call(Parameters... parameters) {
    (refuse_halves(parameters, name), ...);
    kernel(parameters...);
  }
};

template <const char* name, auto kernel>
constexpr auto as_it_takes_halves() {
  if constexpr (takes_halves(name)) {
    return kernel;
  } else {
    return &WithoutHalves<name, kernel>::call;
  }
}

namespace names {
#define KERNEL(name, layout, halves, parameters) constexpr char name[] = #name;
#include "autograd/kernels.def"
#undef KERNEL
}  // namespace names

constexpr Backend table = {allocate,
                           deallocate,
                           copy_from_host,
                           copy_to_host,
                           {
#define KERNEL(name, layout, halves, parameters) as_it_takes_halves<names::name, &entry::name>(),
#include "autograd/kernels.def"
#undef KERNEL
                           }};

}  // namespace

void enable() {
  int gpus = 0;
  const cudaError_t status = cudaGetDeviceCount(&gpus);
  cudaGetLastError();
  require(status == cudaSuccess && gpus > 0, [&] {
    return std::string("device cuda: there is no GPU that CUDA can use (") +
           (status == cudaSuccess ? "none found" : cudaGetErrorString(status)) +
           "); device cuda-emulated runs the same kernels on the CPU";
  });
#ifdef FOLIO_CUDA_EMULATED
  enable_backend(Device::cuda_emulated, table);
#else
  enable_backend(Device::cuda, table);
#endif
}

}  // namespace folio::FOLIO_CUDA
