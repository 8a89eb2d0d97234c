#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "cuda/emulated/control.hpp"
#include "tests/cuda/emulator/device_array.hpp"
#include "tests/cuda/emulator/faults.hpp"

// Each planted fault is found by the means that docs and headers promise. What a race build or AddressSanitizer must
// find is in race_test.cpp and address_test.cpp.
namespace folio::cuda_emulated {
namespace {

using testing::DeviceArray;

std::vector<float> counting(std::size_t n) {
  std::vector<float> x(n);
  std::iota(x.begin(), x.end(), 1.0f);
  return x;
}

/// Runs all that is queued and returns the fault that it ended in.
Fault fault_of(const std::function<void()>& launches) {
  try {
    launches();
    check(cudaDeviceSynchronize());
  } catch (const Fault& fault) {
    return fault;
  }
  ADD_FAILURE() << "no fault";
  return {FaultKind::exception, ""};
}

#define EXPECT_FAULT(expected_kind, text, ...)                                          \
  do {                                                                                  \
    const Fault fault = fault_of([&] { __VA_ARGS__; });                                 \
    EXPECT_EQ(fault.kind(), FaultKind::expected_kind) << fault.what();                  \
    EXPECT_NE(std::string(fault.what()).find(text), std::string::npos) << fault.what(); \
    EXPECT_EQ(std::string(fault.what()).find('\n'), std::string::npos) << "one line";   \
  } while (false)

/// In how many of `draws` seeds of an order the result is wrong.
int wrong_in(Order order, int draws, const std::function<bool()>& right) {
  int wrong = 0;
  for (int seed = 0; seed < draws; ++seed) {
    set_order(order, seed);
    wrong += !right();
  }
  set_order(Order::in_order);
  return wrong;
}

TEST(PlantedFault, MissingBarrierShowsUnderEveryRandomOrder) {
  const auto x = counting(256);
  const DeviceArray<float> in(x), out(256);
  const auto right = [&] {
    faults::missing_barrier(in.data(), out.data(), 256);
    const auto y = out.host();
    for (int t = 1; t < 256; ++t) {
      if (y[t] != x[t - 1]) return false;  // NaN differs too
    }
    return true;
  };
  EXPECT_EQ(wrong_in(Order::in_order, 1, right), 0) << "a fixed order hides it";
  EXPECT_EQ(wrong_in(Order::reverse, 1, right), 1);
  EXPECT_EQ(wrong_in(Order::uniform, 20, right), 20);
  EXPECT_EQ(wrong_in(Order::warp_priority, 20, right), 20);
}

TEST(PlantedFault, MissingReuseBarrierShowsUnderWarpPriority) {
  const auto x = counting(256);
  const DeviceArray<float> in(x), out(512);
  const float sum = std::accumulate(x.begin(), x.end(), 0.0f);
  const auto right = [&] {
    faults::missing_reuse_barrier(in.data(), out.data(), 256);
    const auto y = out.host();
    for (int t = 0; t < 256; ++t) {
      if (y[2 * t] != sum) return false;
    }
    return true;
  };
  const int found = wrong_in(Order::warp_priority, 20, right), uniform = wrong_in(Order::uniform, 50, right);
  std::printf("missing reuse barrier: warp-priority %d of 20 draws, uniform %d of 50\n", found, uniform);
  EXPECT_GE(found, 10);
}

TEST(PlantedFault, LockstepShowsUnderEveryOrder) {
  const auto x = counting(32);
  const DeviceArray<float> in(x), out(1);
  const auto right = [&] {
    faults::lockstep(in.data(), out.data());
    return out.host()[0] == std::accumulate(x.begin(), x.end(), 0.0f);
  };
  EXPECT_EQ(wrong_in(Order::in_order, 1, right), 1);
  EXPECT_EQ(wrong_in(Order::uniform, 20, right), 20);
  EXPECT_EQ(wrong_in(Order::warp_priority, 20, right), 20);
}

TEST(PlantedFault, DivergentBarrierNamesBothLines) {
  for (const Order order : all_orders) {
    set_order(order, 1);
    EXPECT_FAULT(barrier, "divergent barrier", faults::divergent_barrier(64));
    EXPECT_FAULT(barrier, "wait at tests/cuda/emulator/faults.cu:", faults::divergent_barrier(64));
    EXPECT_FAULT(barrier, "kernel faults::divergent_barrier_kernel, block (0,0,0), thread (",
                 faults::divergent_barrier(64));
    EXPECT_FAULT(barrier, "returned", faults::early_return(40, 64));
  }
  set_order(Order::in_order);
}

TEST(PlantedFault, WarpCallsCheckMasksLanesAndOperations) {
  const DeviceArray<float> out(32);
  for (const Order order : all_orders) {
    set_order(order, 2);
    EXPECT_FAULT(warp, "which is not in its mask 0x0000ffff", faults::caller_outside_mask());
    EXPECT_FAULT(warp, "which has no part in it", faults::source_outside_mask(out.data()));
    EXPECT_FAULT(warp, "with mask 0xffffffff", faults::mismatched_calls());
    EXPECT_FAULT(warp, "__syncwarp", faults::mismatched_masks());
    EXPECT_FAULT(warp, "returned", faults::shuffle_after_exit());
    EXPECT_FAULT(warp, "barrier", faults::shuffle_against_barrier());
  }
  set_order(Order::in_order);
}

#ifndef FOLIO_TEST_UNDEFINED_SANITIZER  // there the sanitizer finds it first: address_test.cpp
TEST(PlantedFault, MisalignedVectorLoadNamesTheLine) {
  const DeviceArray<float> in(counting(8)), out(1);
  faults::vector_load(in.data(), out.data(), 4);
  EXPECT_EQ(out.host()[0], 5.0f + 8.0f);
  for (const auto load : {faults::vector_load, faults::pack_load, faults::vector_assignment}) {
    EXPECT_FAULT(alignment, "tests/cuda/emulator/faults.cu:", load(in.data(), out.data(), 1));
    EXPECT_FAULT(alignment, "a vector of 16 bytes at an address that is 4 past", load(in.data(), out.data(), 1));
  }
}
#endif

TEST(PlantedFault, MisalignedAtomic) {
  const DeviceArray<double> y(4);
  EXPECT_FAULT(alignment, "atomic of 8 bytes", faults::misaligned_atomic(y.data()));
}

TEST(PlantedFault, UninitialisedSharedMemoryIsNaN) {
  const DeviceArray<float> out(32);
  for (const auto kernel : {faults::uninitialised_shared, faults::uninitialised_dynamic_shared}) {
    for (int round = 0; round < 2; ++round) {  // what an earlier block wrote must not shine through
      kernel(out.data(), 32);
      const auto y = out.host();
      for (int t = 0; t < 32; ++t) EXPECT_EQ(std::isnan(y[t]), t >= 7) << t;
    }
  }
}

TEST(PlantedFault, UnsynchronisedReadOfAnAsynchronousCopy) {
  cudaStream_t stream;
  check(cudaStreamCreate(&stream));
  const DeviceArray<float> in(counting(4));
  float* host = nullptr;
  check(cudaMallocHost(&host, 4 * sizeof(float)));
  host[0] = 7;
  check(cudaMemcpyAsync(host, in.data(), 4 * sizeof(float), cudaMemcpyDeviceToHost, stream));
#ifndef __SANITIZE_ADDRESS__  // there the read itself is reported: address_test.cpp
  EXPECT_TRUE(std::isnan(host[0])) << "neither the old value nor the new";
#endif
  check(cudaStreamSynchronize(stream));
  EXPECT_EQ(host[0], 1.0f);
  check(cudaFreeHost(host));
  check(cudaStreamDestroy(stream));
}

#ifndef __SANITIZE_ADDRESS__  // there the access itself is reported: address_test.cpp
/// Whether reads before and behind an array of three, and behind a claimed part of one, give NaN or a negative index.
template <typename T>
void expect_reads_past_the_ends_show() {
  const auto shows = [](T value) {
    if constexpr (std::is_integral_v<T>) return value < -1;
    return std::isnan(static_cast<float>(value));
  };
  const DeviceArray<T> array(std::vector<T>(3, T(1.0f))), block(std::vector<T>(128, T(1.0f))), y(8);
  for (const int offset : {-8, 3}) {
    faults::read_at(array.data(), y.data(), offset, 8);
    EXPECT_TRUE(std::ranges::all_of(y.host(), shows)) << offset;
  }
  memory_claimed(block.data(), 3 * sizeof(T), nullptr);
  faults::read_at(block.data(), y.data(), 3, 8);
  EXPECT_TRUE(std::ranges::all_of(y.host(), shows)) << "behind a part";
  memory_released(block.data(), 3 * sizeof(T), nullptr);
  faults::read_at(block.data(), y.data(), 0, 8);
  EXPECT_TRUE(std::ranges::all_of(y.host(), shows)) << "of a part that was given back";
}

TEST(PlantedFault, ReadsPastTheEndsGiveNaNAndNoIndex) {
  expect_reads_past_the_ends_show<float>();
  expect_reads_past_the_ends_show<double>();
  expect_reads_past_the_ends_show<bfloat16>();
  expect_reads_past_the_ends_show<float16>();
  expect_reads_past_the_ends_show<std::int32_t>();
  expect_reads_past_the_ends_show<std::int64_t>();
}

TEST(PlantedFault, WritesPastTheEndsAreSeenAfterTheKernel) {
  const DeviceArray<float> out(64);
  EXPECT_FAULT(memory, "wrote outside its argument 0: at offset 256, offset 0 of a device allocation of 256 bytes",
               faults::write_at(out.data(), 1, 64));
  EXPECT_FAULT(memory, "at offset -8", faults::write_at(out.data(), -2, 1));
  faults::write_at(out.data(), 0, 64);
  check(cudaDeviceSynchronize());
}

TEST(PlantedFault, WritesPastAClaimedPartAreSeenAfterTheKernel) {
  const DeviceArray<float> block(128);
  memory_claimed(block.data(), 20, nullptr);
  faults::write_at(block.data(), 0, 5);
  check(cudaDeviceSynchronize());
  EXPECT_FAULT(memory,
               "outside its argument 0: at offset 32, offset 0 of a device allocation of 512 bytes, in use are 20 from "
               "offset 0",
               faults::write_at(block.data(), 8, 5));
  faults::write_at(block.data(), 0, 5);
  memory_released(block.data(), 20, nullptr);
  check(cudaDeviceSynchronize());
}

TEST(PlantedFault, WritesPastAClaimedPartByAHiddenPointerAreSeenWhenItIsGivenBack) {
  const DeviceArray<float> block(128);
  for (const int i : {4, 5, 40}) {
    memory_claimed(block.data(), 20, nullptr);
    faults::write_hidden(block.data(), i);
    check(cudaDeviceSynchronize());
    if (i == 4) {
      memory_released(block.data(), 20, nullptr);
      check(cudaDeviceSynchronize());
      continue;
    }
    EXPECT_FAULT(
        memory,
        "something wrote outside a block of 20 bytes before it was given back: at offset " + std::to_string(4 * i),
        memory_released(block.data(), 20, nullptr));
  }
}

TEST(PlantedFault, NeighbouringPartsAreNoStrayWrites) {
  const DeviceArray<float> block(128);
  memory_claimed(block.data(), 20, nullptr);
  memory_claimed(block.data() + 16, 20, nullptr);
  faults::write_at(block.data() + 16, 0, 5);
  faults::write_at(block.data(), 0, 5);
  check(cudaDeviceSynchronize());
  EXPECT_FAULT(memory, "at offset 60", faults::write_at(block.data() + 16, -1, 1));
  memory_released(block.data() + 16, 20, nullptr);
  memory_released(block.data(), 20, nullptr);
  check(cudaDeviceSynchronize());
}
#endif

TEST(PlantedFault, HostPointerAsArgument) {
  std::vector<float> host(4);
  EXPECT_FAULT(memory, "argument 0 points to no device memory", faults::write_at(host.data(), 0, 1));
  float* freed = nullptr;
  check(cudaMalloc(&freed, 64));
  check(cudaFree(freed));
  EXPECT_FAULT(memory, "freed", faults::write_at(freed, 0, 1));
}

TEST(PlantedFault, ExceptionInAKernelNamesItsThread) {
  EXPECT_FAULT(exception, "thread (3,0,0): exception: no luck today", faults::throws());
}

TEST(PlantedFault, DeviceServesAgainAfterAFault) {
  const DeviceArray<float> out(1);
  for (int round = 0; round < 3; ++round) {
    EXPECT_FAULT(barrier, "divergent", faults::divergent_barrier(1024));
    faults::write_at(out.data(), 0, 1);
    EXPECT_EQ(out.host()[0], 1.0f);
  }
}

TEST(PlantedFault, ErrorStaysUntilItIsTaken) {
  faults::divergent_barrier(64);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorLaunchFailure);
  EXPECT_EQ(cudaGetLastError(), cudaErrorLaunchFailure);
  void* more = nullptr;
  EXPECT_EQ(cudaMalloc(&more, 4), cudaErrorLaunchFailure);
  EXPECT_THROW(check(cudaGetLastError()), Fault);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
}

}  // namespace
}  // namespace folio::cuda_emulated
