#include "tests/bench/ceilings.hpp"

#include <Eigen/Core>
#include <chrono>
#include <cstring>
#include <vector>

#include "autograd/ops.hpp"
#include "autograd/random.hpp"
#include "autograd/threads.hpp"

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

double product_peak(double seconds) {
  constexpr std::int64_t m = 4096, n = 576, k = 384;
  Generator generator(1);
  const Tensor a = randn({m, k}, generator), b = randn({k, n}, generator);
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

}  // namespace

Ceilings measure_ceilings(double seconds) {
  Ceilings ceilings;
  ceilings.fma = fma_peak(seconds);
  const GemmProvider before = gemm_provider();
  for (const GemmProvider provider : gemm_providers()) {
    set_gemm_provider(provider);
    ceilings.product[provider] = product_peak(seconds);
  }
  set_gemm_provider(before);
  ceilings.copy = copy_bandwidth(seconds);
  return ceilings;
}

}  // namespace folio::bench
