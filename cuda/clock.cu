#include "cuda/clock.hpp"

#include <array>

#include "cuda/op.hpp"

namespace folio::FOLIO_CUDA {
namespace {

std::string description() {
  cudaDeviceProp gpu{};
  check(cudaGetDeviceProperties(&gpu, 0));
  return std::string(gpu.name) + ", compute capability " + std::to_string(gpu.major) + "." + std::to_string(gpu.minor) +
         ", " + std::to_string(gpu.multiProcessorCount) + " multiprocessors, " +
         std::to_string(gpu.totalGlobalMem >> 20) + " MiB";
}

void wait() { check(cudaStreamSynchronize(stream())); }

/// Never destroyed, as the stream is not.
cudaEvent_t event(int number) {
  static const auto* const events = [] {
    auto* const made = new std::array<cudaEvent_t, GpuClock::marks>{};
    for (cudaEvent_t& one : *made) check(cudaEventCreate(&one));
    return made;
  }();
  return events->at(static_cast<std::size_t>(number));
}

void mark(int number) { check(cudaEventRecord(event(number), stream())); }

double seconds(int from, int to) {
  check(cudaEventSynchronize(event(to)));
  float milliseconds = 0;
  check(cudaEventElapsedTime(&milliseconds, event(from), event(to)));
  return 1e-3 * static_cast<double>(milliseconds);
}

void copy(std::byte* to, const std::byte* from, std::size_t bytes) {
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream()));
}

}  // namespace

constexpr GpuClock gpu_clock = {description, wait, mark, seconds, copy};

}  // namespace folio::FOLIO_CUDA
