#include <gtest/gtest.h>

#include "cuda/emulated/fault.hpp"
#include "tests/cuda/emulator/demo/demo.hpp"
#include "tests/cuda/emulator/device_array.hpp"
#include "tests/cuda/emulator/faults.hpp"

// Built under AddressSanitizer only: what it must report, with file and line, and that it reports nothing else.
namespace folio::cuda_emulated {
namespace {

using testing::DeviceArray;

// The report's first frames; a frame without a line would not match.
constexpr const char* in_kernel = "AddressSanitizer: .*(\n.*)* in .*faults.cu:[0-9]+";

class Address : public ::testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(Address, KernelWritesPastItsArray) {
  const DeviceArray<float> y(64);
  faults::write_at(y.data(), 0, 64);
  check(cudaDeviceSynchronize());
  EXPECT_DEATH(
      {
        faults::write_at(y.data(), 1, 64);
        cudaDeviceSynchronize();
      },
      in_kernel);
}

TEST_F(Address, KernelWritesPastAClaimedPart) {
  const DeviceArray<float> whole(64);
  memory_claimed(whole.data(), 40, nullptr);
  faults::write_at(whole.data(), 0, 10);
  check(cudaDeviceSynchronize());
  EXPECT_DEATH(
      {
        faults::write_at(whole.data(), 0, 11);
        cudaDeviceSynchronize();
      },
      in_kernel);
}

TEST_F(Address, KernelWritesPastASharedArray) {
  const DeviceArray<float> y(1);
  EXPECT_DEATH(
      {
        faults::shared_write_at(32, y.data());
        cudaDeviceSynchronize();
      },
      in_kernel);
}

TEST_F(Address, HostReadsDeviceMemory) {
  const DeviceArray<float> y(std::vector<float>{1, 2});
  volatile float seen = 0;
  EXPECT_DEATH(seen = y.data()[1], "AddressSanitizer: use-after-poison(.*\n)*.*address_test.cpp:[0-9]+");
  EXPECT_EQ(seen, 0);
}

TEST_F(Address, HostReadsTheTargetOfACopyTooSoon) {
  cudaStream_t stream;
  check(cudaStreamCreate(&stream));
  const DeviceArray<float> y(std::vector<float>{1, 2});
  std::vector<float> host(2);
  check(cudaMemcpyAsync(host.data(), y.data(), 8, cudaMemcpyDeviceToHost, stream));
  volatile float seen = 0;
  EXPECT_DEATH(seen = host[1], "AddressSanitizer: use-after-poison(.*\n)*.*address_test.cpp:[0-9]+");
  check(cudaStreamSynchronize(stream));
  seen = host[1];
  EXPECT_EQ(seen, 2);
  check(cudaStreamDestroy(stream));
}

TEST_F(Address, MisalignedVectorLoad) {
  const DeviceArray<float> x(std::vector<float>(8, 1.0f)), y(1);
  for (const auto load : {faults::vector_load, faults::vector_assignment}) {
    EXPECT_DEATH(
        {
          load(x.data(), y.data(), 1);
          cudaDeviceSynchronize();
        },
        "(faults.cu|vectors.hpp):[0-9]+:[0-9]+: runtime error: .*misaligned address");
  }
  faults::pack_load(x.data(), y.data(), 1);  // checked before it is loaded
  EXPECT_THROW(check(cudaDeviceSynchronize()), Fault);
}

}  // namespace
}  // namespace folio::cuda_emulated
