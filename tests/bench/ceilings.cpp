#include "tests/bench/ceilings.hpp"

#include <fmt/format.h>

#include <Eigen/Core>
#include <atomic>
#include <chrono>
#include <cstring>
#include <tuple>
#include <vector>

#include "autograd/error.hpp"
#include "autograd/ops.hpp"
#include "autograd/random.hpp"
#include "autograd/settings.hpp"
#include "autograd/threads.hpp"
#include "tests/bench/place.hpp"

namespace folio::bench {
namespace {

/// Work per second of the fastest call of `run` within `seconds`, after one that warms up.
template <class Run>
double best_rate(double work, double seconds, Run&& run) {
  using Clock = std::chrono::steady_clock;
  const auto elapsed = [](Clock::time_point since) {
    return std::chrono::duration<double>(Clock::now() - since).count();
  };
  run();
  const auto began = Clock::now();
  double best = 0;
  do {
    const auto start = Clock::now();
    run();
    best = std::max(best, work / elapsed(start));
  } while (elapsed(began) < seconds);
  return best;
}

using Packet = Eigen::internal::packet_traits<float>::type;
constexpr int lanes = Eigen::internal::packet_traits<float>::size;
constexpr int chains = 12;  // independent, so that none waits for the one before

/// `rounds` multiply-adds of every chain; returns a sum of what came out, so that none is left out.
float multiply_add(std::int64_t rounds) {
  Packet sums[chains];
  for (int c = 0; c < chains; ++c) sums[c] = Eigen::internal::pset1<Packet>(static_cast<float>(c));
  const Packet factor = Eigen::internal::pset1<Packet>(0.999F), term = Eigen::internal::pset1<Packet>(1e-3F);
  for (std::int64_t i = 0; i < rounds; ++i) {
    for (Packet& sum : sums) sum = Eigen::internal::pmadd(sum, factor, term);
  }
  float all = 0;
  for (const Packet& sum : sums) all += Eigen::internal::predux(sum);
  return all;
}

double fma_peak(double seconds) {
  constexpr std::int64_t rounds = 1'000'000;
  volatile float kept = 0;
  return best_rate(2.0 * lanes * chains * rounds * num_threads(), seconds, [&] {
    float all = 0;
#pragma omp parallel reduction(+ : all)
    all += multiply_add(rounds);
    kept = all;
  });
}

double product_peak(double seconds, DType dtype) {
  constexpr std::int64_t m = 4096, n = 576, k = 384;  // in cache
  Generator generator(1);
  const Tensor a = randn({m, k}, generator).to(dtype), b = randn({k, n}, generator).to(dtype);
  return best_rate(2.0 * m * n * k, seconds, [&] { matmul(a, b); });
}

double copy_bandwidth(double seconds) {
  constexpr std::int64_t block = 1 << 20, blocks = 128;  // beyond any cache
  std::vector<char> from(block * blocks, 1), to(block * blocks);
  return best_rate(2.0 * block * blocks, seconds, [&] {
#pragma omp parallel for schedule(static)
    for (std::int64_t i = 0; i < blocks; ++i) std::memcpy(to.data() + i * block, from.data() + i * block, block);
  });
}

double empty_region(double seconds) {
  constexpr int regions = 1000;
  return 1 / best_rate(regions, seconds, [] {
           for (int i = 0; i < regions; ++i) {
#pragma omp parallel
             {
               std::atomic_signal_fence(std::memory_order_seq_cst);  // else the compiler would leave the region out
             }
           }
         });
}

Ceilings of_cpu(double seconds, DType dtype) {
  Ceilings ceilings;
  ceilings.in_use = name_of(gemm_provider());
  ceilings.fma = fma_peak(seconds);
  const GemmProvider before = gemm_provider();
  for (const GemmProvider provider : gemm_providers()) {
    set_gemm_provider(provider);
    ceilings.product[name_of(provider)] = product_peak(seconds, dtype);
  }
  set_gemm_provider(before);
  ceilings.copy = copy_bandwidth(seconds);
  ceilings.region = empty_region(seconds);
  return ceilings;
}

/// The same on a GPU, each run by the GPU's own clock.
template <class Run>
double best_rate(const Place& place, double work, double seconds, Run&& run) {
  double best = 0;
  Stopwatch watch(place);
  const auto timed = [&] {
    watch.begin();
    run();
    watch.lap();
    best = std::max(best, work / watch.seconds(0));
  };
  best_rate(work, seconds, timed);
  return best;
}

Ceilings of_gpu(const Place& place, double seconds) {
  Ceilings ceilings;
  const bool emulated = place.device == Device::cuda_emulated, before = tf32();
  const std::int64_t n = emulated ? 64 : 8192;
  Generator generator(1);
  const Tensor square = randn({n, n}, generator);
  for (const auto& [name, dtype, rounded] : {std::tuple("float32", DType::float32, false),
                                             {"TF32", DType::float32, true},
                                             {"bfloat16", DType::bfloat16, false},
                                             {"float16", DType::float16, false}}) {
    set_tf32(rounded);
    const Tensor x = square.to(dtype).to(place.device);
    try {
      ceilings.product[name] = best_rate(place, 2.0 * static_cast<double>(n * n * n), seconds, [&] { matmul(x, x); });
    } catch (const Error&) {  // this build multiplies no such matrices
    }
    if (dtype == place.dtype && rounded == (before && dtype == DType::float32)) ceilings.in_use = name;
  }
  set_tf32(before);
  const std::size_t bytes = emulated ? 1 << 20 : std::size_t{1} << 30;
  const Tensor from = zeros({static_cast<std::int64_t>(bytes) / 4}, {DType::float32, place.device});
  const Tensor to = empty_like(from);
  ceilings.copy = best_rate(place, 2.0 * static_cast<double>(bytes), seconds,
                            [&] { place.clock->copy(to.storage()->data(), from.storage()->data(), bytes); });
  return ceilings;
}

}  // namespace

std::string Ceilings::description() const {
  std::string text = fma > 0 ? fmt::format("multiply-add {:.0f} GFLOP/s, ", fma / 1e9) : "";
  for (const auto& [name, rate] : product)
    text += fmt::format("matrix product by {} {:.0f} GFLOP/s, ", name, rate / 1e9);
  text += fmt::format("copy {:.1f} GB/s", copy / 1e9);
  if (region > 0) text += fmt::format(", parallel region {:.2f} us", region * 1e6);
  return text + "; in use: " + in_use;
}

Ceilings measure_ceilings(const Place& place, double seconds) {
  return place.clock == nullptr ? of_cpu(seconds, place.dtype) : of_gpu(place, seconds);
}

}  // namespace folio::bench
