#include "autograd/backend.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>

#include "autograd/cpu/widened.hpp"
#include "autograd/threads.hpp"

#include <omp.h>

namespace folio {

std::byte* cpu_allocate(std::size_t bytes);
void cpu_deallocate(std::byte* data, std::size_t bytes);
std::size_t cpu_held_memory();

namespace {

void copy_bytes(std::byte* to, const std::byte* from, std::size_t bytes) { std::memcpy(to, from, bytes); }

constexpr Backend cpu_backend = {cpu_allocate,
                                 cpu_deallocate,
                                 copy_bytes,
                                 copy_bytes,
                                 nullptr,
                                 nullptr,
                                 cpu_held_memory,
                                 release_cached_memory,
                                 {
#define KERNEL(name, layout, halves, parameters) cpu::taking_halves<Halves::halves, &cpu::name>(),
#include "autograd/kernels.def"
#undef KERNEL
                                 }};

constinit std::array<const Backend*, device_count> enabled = {&cpu_backend, nullptr, nullptr};

}  // namespace

const Backend& backend(Device device) {
  const Backend* found = enabled[static_cast<std::size_t>(device)];
  require(found != nullptr, [&] {
    const bool real = device == Device::cuda;
    return std::string("device ") + name_of(device) + " is not enabled in this program: " +
           (real ? "it needs the CUDA Toolkit at build time, the target folio::cuda and folio::cuda::enable(); "
                   "device cuda-emulated runs the same kernels on the CPU"
                 : "link folio::cuda_emulated and call folio::cuda_emulated::enable()");
  });
  return *found;
}

void enable_backend(Device device, const Backend& backend) { enabled[static_cast<std::size_t>(device)] = &backend; }

void wait_for_devices() {
  for (const Backend* each : enabled) {
    if (each != nullptr && each != &cpu_backend) each->copy_to_host(nullptr, nullptr, 0);
  }
}

const Kernels& kernels_of(Device device) { return backend(device).kernels; }

void set_num_threads(int threads) {
  require(threads >= 1, [] { return std::string("set_num_threads: needs at least one thread"); });
  const int most = std::max(64, 4 * omp_get_num_procs());
  require(threads <= most, [&] {
    return "set_num_threads: " + std::to_string(threads) + " threads are too many for " +
           std::to_string(omp_get_num_procs()) + " processors: choose at most " + std::to_string(most);
  });
  omp_set_num_threads(threads);
}
int num_threads() { return omp_get_max_threads(); }

namespace detail {
Tensor packed(const Tensor& x) { return x.is_contiguous() ? x : x.clone(); }
}  // namespace detail

}  // namespace folio
