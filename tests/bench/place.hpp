#pragma once
#include <array>
#include <chrono>
#include <string>
#include <vector>

#include "autograd/tensor.hpp"
#include "cuda/clock.hpp"
#include "tests/bench/ceilings.hpp"

namespace folio::bench {

/// Where the benchmarks compute and in which floats, and what can be done there at best.
struct Place {
  Device device = Device::cpu;
  DType dtype = DType::float32;     ///< of what ops read; of a model's activations
  const GpuClock* clock = nullptr;  ///< none on the CPU
  Ceilings ceilings = {};
  std::vector<std::string> settings = {};  ///< of every preset that is measured: "key=value"

  /// Returns when all that was asked of the device is done.
  void wait() const {
    if (clock != nullptr) clock->wait();
  }
  /// For people, on one line.
  std::string description() const;
};

/// That device, which must be ready for use, its ceilings not yet measured.
Place place_on(Device device, DType dtype);

/// Times stretches of work, on a GPU by its own clock.
class Stopwatch {
 public:
  /// `place` must outlive it.
  explicit Stopwatch(const Place& place) : place_(place) {}

  /// Gives a GPU something to do first, which empties its caches and lasts while the host hands out the work, so that
  /// what is timed is the kernels and not their launching.
  void begin();
  /// Ends a stretch; 7 at most.
  void lap();
  /// Of the stretch with that number, from 0. Waits for its end.
  double seconds(int stretch) const;

 private:
  const Place& place_;
  int laps_ = 0;
  std::array<std::chrono::steady_clock::time_point, GpuClock::marks> times_;
};

}  // namespace folio::bench
