#pragma once
/// What a program that measures asks of a CUDA device besides its kernels. Link folio::cuda or folio::cuda_emulated, and
/// enable it first.
#include <cstddef>
#include <string>

namespace folio {

struct GpuClock {
  /// Its name, compute capability, multiprocessors and memory, on one line.
  std::string (*description)();
  /// Returns when the device has done all that ops have asked of it.
  void (*wait)();
  /// Notes when the device comes to this place in the ops' stream, under a number in [0, marks).
  void (*mark)(int number);
  /// Seconds from one mark to another, on the device's own clock. Waits for the later.
  double (*seconds)(int from, int to);
  /// CUDA's own copy from device memory to device memory, on the ops' stream. Moves 2 × bytes.
  void (*copy)(std::byte* to, const std::byte* from, std::size_t bytes);

  static constexpr int marks = 8;
};

namespace cuda {
extern const GpuClock gpu_clock;
}  // namespace cuda

namespace cuda_emulated {
extern const GpuClock gpu_clock;
}  // namespace cuda_emulated

}  // namespace folio
