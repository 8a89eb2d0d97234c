#include <gtest/gtest.h>

#include <cmath>

#include "cuda/emulated/control.hpp"
#include "tests/cuda/emulator/device_array.hpp"
#include "tests/cuda/emulator/probes.hpp"

// Device memory: counted, limited, never holding anything useful before it is written; copies know their direction.
namespace folio::cuda_emulated {
namespace {

using testing::DeviceArray;

std::string error_of(cudaError_t error) {
  try {
    check(error);
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

TEST(Memory, NewMemoryHoldsNaN) {
  const DeviceArray<float> a(100);
  for (const float value : a.host()) EXPECT_TRUE(std::isnan(value));
  const DeviceArray<bfloat16> b(3);
  for (const bfloat16 value : b.host()) EXPECT_TRUE(std::isnan(static_cast<float>(value)));
}

TEST(Memory, IsCounted) {
  const MemoryStatistics before = memory_statistics();
  {
    const DeviceArray<float> a(100), b(50);
    EXPECT_EQ(memory_statistics().bytes, before.bytes + 600);
    EXPECT_EQ(memory_statistics().live, before.live + 2);
    reset_peak();
    { const DeviceArray<double> c(10); }
    EXPECT_EQ(memory_statistics().bytes, before.bytes + 600);
    EXPECT_EQ(memory_statistics().peak_bytes, before.bytes + 680);
  }
  EXPECT_EQ(memory_statistics().bytes, before.bytes);
  EXPECT_EQ(memory_statistics().allocations, before.allocations + 3);
  EXPECT_EQ(memory_statistics().frees, before.frees + 3);
}

TEST(Memory, EndsWhereTheDeviceEnds) {
  const MemoryStatistics before = memory_statistics();
  set_memory_capacity(before.bytes + 1000);
  void* address = nullptr;
  check(cudaMalloc(&address, 600));
  void* more = nullptr;
  const std::string text = error_of(cudaMalloc(&more, 401));
  EXPECT_NE(text.find("asked for 401 bytes, held " + std::to_string(before.bytes + 600)), std::string::npos) << text;
  EXPECT_EQ(more, nullptr);
  std::size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total));
  EXPECT_EQ(free, 400u);
  EXPECT_EQ(total, before.bytes + 1000);
  check(cudaFree(address));
  set_memory_capacity(before.capacity_bytes);
}

TEST(Memory, ZeroBytesAreNoMemory) {
  void* address = &address;
  check(cudaMalloc(&address, 0));
  EXPECT_EQ(address, nullptr);
  check(cudaFree(nullptr));
  check(cudaMemcpy(nullptr, nullptr, 0, cudaMemcpyHostToDevice));
}

TEST(Memory, IsAlignedAsCudaPromises) {
  for (const std::size_t bytes : {1, 3, 100, 4097}) {
    char* address = nullptr;
    check(cudaMalloc(&address, bytes));
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(address) % 256, 0u);
    check(cudaFree(address));
  }
}

TEST(Memory, FreeOfSomethingElseIsRefused) {
  float host = 0;
  EXPECT_EQ(cudaFree(&host), cudaErrorInvalidValue);
  void* address = nullptr;
  check(cudaMalloc(&address, 16));
  EXPECT_EQ(cudaFree(static_cast<char*>(address) + 4), cudaErrorInvalidValue);
  check(cudaFree(address));
  EXPECT_NE(error_of(cudaFree(address)).find("freed already"), std::string::npos);
  EXPECT_EQ(cudaFreeHost(&host), cudaErrorInvalidValue);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidValue);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
}

TEST(Memory, CopiesKnowTheirDirection) {
  const DeviceArray<float> a(std::vector<float>{1, 2, 3}), b(3);
  std::vector<float> host(3);
  check(cudaMemcpy(b.data(), a.data(), 12, cudaMemcpyDeviceToDevice));
  check(cudaMemcpy(host.data(), b.data(), 12, cudaMemcpyDefault));
  EXPECT_EQ(host, (std::vector<float>{1, 2, 3}));
  for (const cudaMemcpyKind kind : {cudaMemcpyHostToHost, cudaMemcpyHostToDevice, cudaMemcpyDeviceToDevice}) {
    EXPECT_EQ(cudaMemcpy(host.data(), a.data(), 12, kind), cudaErrorInvalidValue) << kind;
  }
  EXPECT_NE(error_of(cudaMemcpy(host.data(), a.data(), 12, cudaMemcpyHostToDevice))
                .find("says host to device, the addresses are device and host"),
            std::string::npos);
}

TEST(Memory, CopiesStayInside) {
  const DeviceArray<float> a(3);
  std::vector<float> host(4);
  const std::string text = error_of(cudaMemcpy(host.data(), a.data(), 16, cudaMemcpyDeviceToHost));
  EXPECT_NE(text.find("copy from the device of 16 bytes at offset 0 of a device allocation of 12 bytes"),
            std::string::npos)
      << text;
  check(cudaMemset(a.data() + 1, 0, 12));
  EXPECT_NE(error_of(cudaDeviceSynchronize()).find("offset 4 of a device allocation of 12"), std::string::npos);
}

TEST(Memory, MemsetSetsBytes) {
  const DeviceArray<float> a(4);
  check(cudaMemset(a.data(), 0, 8));
  const auto host = a.host();
  EXPECT_EQ(host[1], 0.0f);
  EXPECT_TRUE(std::isnan(host[2]));
}

TEST(Memory, KernelsMayUsePinnedHostMemory) {
  float* host = nullptr;
  check(cudaMallocHost(&host, 32));
  host[0] = 5;
  probes::add_one(host, 1, nullptr);
  check(cudaDeviceSynchronize());
  EXPECT_EQ(host[0], 6.0f);
  EXPECT_EQ(memory_statistics().pinned_live, 1);
  check(cudaFreeHost(host));
  EXPECT_EQ(memory_statistics().pinned_live, 0);
}

TEST(Memory, PartsThatAnAllocatorHandsOutHaveBoundsOfTheirOwn) {
  const DeviceArray<float> whole(64);
  check(cudaMemset(whole.data(), 0, 256));
  memory_claimed(whole.data(), 40, nullptr);
  memory_claimed(whole.data() + 32, 40, nullptr);
  std::vector<float> host(16);
  check(cudaMemcpy(host.data(), whole.data(), 40, cudaMemcpyDeviceToHost));
  EXPECT_TRUE(std::isnan(host[0])) << "new memory to whoever got it";
  EXPECT_NE(error_of(cudaMemcpy(host.data(), whole.data(), 44, cudaMemcpyDeviceToHost)).find("outside"),
            std::string::npos);
  EXPECT_NE(error_of(cudaMemcpy(host.data(), whole.data() + 16, 4, cudaMemcpyDeviceToHost)).find("outside"),
            std::string::npos);
  probes::fill(whole.data(), 1, 8, nullptr);
  memory_released(whole.data(), 40, nullptr);  // in the stream's order: the kernel before it still may
  check(cudaDeviceSynchronize());
  EXPECT_NE(error_of(cudaMemcpy(host.data(), whole.data(), 4, cudaMemcpyDeviceToHost)).find("outside"),
            std::string::npos);
  check(cudaMemcpy(host.data(), whole.data() + 32, 40, cudaMemcpyDeviceToHost));
}

}  // namespace
}  // namespace folio::cuda_emulated
