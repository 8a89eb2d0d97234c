#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>

#include "cuda/emulated/control.hpp"
#include "tests/cuda/emulator/demo/demo.hpp"
#include "tests/cuda/emulator/device_array.hpp"
#include "tests/cuda/emulator/probes.hpp"

// Prints what the emulator costs, in every order: the best of five runs.
namespace {

using namespace folio::cuda_emulated;

double seconds_of(const std::function<void()>& work) {
  double best = 1e9;
  for (int i = 0; i < 5; ++i) {
    const auto from = std::chrono::steady_clock::now();
    work();
    check(cudaDeviceSynchronize());
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - from).count());
  }
  return best;
}

}  // namespace

int main() {
  constexpr int blocks = 400, threads = 256;
  constexpr std::int64_t n = 1 << 20, rows = 400, columns = 1024;
  const testing::DeviceArray<float> y(std::vector<float>(n, 1.0f)), out(n);
  std::printf("%-14s | %28s | %26s\n", "", "µs per block of 256, barriers", "million threads per second");
  std::printf("%-14s | %8s %8s %10s | %8s %8s %8s\n", "order", "none", "one", "ten", "add", "sum", "softmax");
  for (const Order order : all_orders) {
    set_order(order, 1);
    std::printf("%-14s |", name_of(order));
    for (const int rounds : {0, 1, 10}) {
      std::printf(" %8.2f", 1e6 / blocks * seconds_of([&] { probes::barriers(out.data(), blocks, threads, rounds); }));
    }
    const double add = seconds_of([&] { demo::add(y.data() + 1, y.data() + 1, out.data() + 1, n - 1, nullptr); });
    const double sum = seconds_of([&] { demo::sum_rows(y.data(), out.data(), rows, columns, threads, nullptr); });
    const double softmax =
        seconds_of([&] { demo::softmax_rows(y.data(), out.data(), rows, columns, threads, nullptr); });
    std::printf("   | %8.1f %8.2f %8.2f\n", 1e-6 * n / add, 1e-6 * rows * threads / sum,
                1e-6 * rows * threads / softmax);
  }
}
