#include "tests/bench/place.hpp"

#include "autograd/threads.hpp"

namespace folio::bench {

std::string Place::description() const {
  return clock != nullptr ? clock->description() : std::to_string(num_threads()) + " threads of the CPU";
}

Place place_on(Device device, DType dtype) {
  Place place{.device = device, .dtype = dtype};
  if (place.device == Device::cuda) place.clock = &cuda::gpu_clock;
  if (place.device == Device::cuda_emulated) place.clock = &cuda_emulated::gpu_clock;
  return place;
}

void Stopwatch::begin() {
  laps_ = 0;
  if (place_.device == Device::cuda) {
    constexpr std::int64_t beyond_caches = 1 << 27;  // 512 MiB
    full({beyond_caches}, 0, {DType::float32, Device::cuda});
  }
  lap();
}

void Stopwatch::lap() {
  if (place_.clock != nullptr) {
    place_.clock->mark(laps_++);
  } else {
    times_.at(static_cast<std::size_t>(laps_++)) = std::chrono::steady_clock::now();
  }
}

double Stopwatch::seconds(int stretch) const {
  if (place_.clock != nullptr) return place_.clock->seconds(stretch, stretch + 1);
  const auto i = static_cast<std::size_t>(stretch);
  return std::chrono::duration<double>(times_.at(i + 1) - times_.at(i)).count();
}

}  // namespace folio::bench
