#include <gtest/gtest.h>

#include "cuda/emulated/control.hpp"
#include "tests/cuda/emulator/demo/demo.hpp"
#include "tests/cuda/emulator/device_array.hpp"
#include "tests/cuda/emulator/faults.hpp"
#include "tests/cuda/emulator/probes.hpp"

// What the hardware refuses, the emulator refuses, at the launch and with its line.
namespace folio::cuda_emulated {
namespace {

using testing::DeviceArray;

template <typename F>
std::string refusal(F&& f) {
  try {
    f();
    check(cudaDeviceSynchronize());
  } catch (const Fault& fault) {
    EXPECT_EQ(fault.kind(), FaultKind::launch) << fault.what();
    return fault.what();
  }
  return "accepted";
}

TEST(Limits, ThreadsOfABlock) {
  EXPECT_EQ(refusal([] { probes::nothing(1, dim3(1024)); }), "accepted");
  EXPECT_EQ(refusal([] { probes::nothing(1, dim3(16, 8, 8)); }), "accepted");
  EXPECT_NE(refusal([] { probes::nothing(1, dim3(1025)); }).find("at most 1024 threads"), std::string::npos);
  EXPECT_NE(refusal([] { probes::nothing(1, dim3(64, 32)); }).find("at most 1024 threads"), std::string::npos);
  EXPECT_NE(refusal([] { probes::nothing(1, dim3(1, 1, 65)); }).find("64 in z"), std::string::npos);
  EXPECT_NE(refusal([] { probes::nothing(1, dim3(0)); }).find("no threads"), std::string::npos);
}

TEST(Limits, BlocksOfAGrid) {
  EXPECT_EQ(refusal([] { probes::nothing(dim3(70000), 1); }), "accepted");
  EXPECT_NE(refusal([] { probes::nothing(dim3(1, 65536), 1); }).find("65535 in y and z"), std::string::npos);
  EXPECT_NE(refusal([] { probes::nothing(dim3(1, 1, 65536), 1); }).find("65535 in y and z"), std::string::npos);
  EXPECT_NE(refusal([] { probes::nothing_wide(std::int64_t{1} << 32); }).find("grid of 4294967296"), std::string::npos);
  EXPECT_NE(refusal([] { probes::nothing_wide(-1); }).find("grid of -1"), std::string::npos);
}

TEST(Limits, NamesTheKernelAndTheLineThatLaunches) {
  const std::string text = refusal([] { probes::nothing(1, dim3(1025)); });
  EXPECT_NE(text.find("kernel probes::nothing_kernel, launched at tests/cuda/emulator/probes.cu:"), std::string::npos)
      << text;
}

TEST(Limits, AnEmptyGridLaunchesNothing) {
  reset_launch_counts();
  EXPECT_EQ(refusal([] { probes::nothing_wide(0); }), "accepted");
  EXPECT_EQ(refusal([] { probes::nothing(dim3(4, 0), 32); }), "accepted");
  EXPECT_TRUE(launch_counts().empty());
}

TEST(Limits, LaunchBounds) {
  const DeviceArray<float> out(65);
  EXPECT_EQ(refusal([&] { faults::bounded_by_64(out.data(), 64); }), "accepted");
  EXPECT_NE(refusal([&] { faults::bounded_by_64(out.data(), 65); }).find("__launch_bounds__ allow 64"),
            std::string::npos);
}

TEST(Limits, Parameters) {
  const DeviceArray<float> out(1);
  EXPECT_EQ(refusal([&] { probes::most_parameters(out.data()); }), "accepted");
  EXPECT_EQ(out.host()[0], 7.0f);
  EXPECT_NE(
      refusal([&] { probes::too_many_parameters(out.data()); }).find("parameters of 32768 bytes, allowed are 32764"),
      std::string::npos);
}

TEST(Limits, SharedMemory) {
  const DeviceArray<float> out(1);
  EXPECT_EQ(refusal([&] { faults::needs_dynamic_shared(out.data(), 48 * 1024); }), "accepted");
  EXPECT_NE(refusal([&] { faults::needs_dynamic_shared(out.data(), 48 * 1024 + 4); }).find("allowed are 49152"),
            std::string::npos);
  EXPECT_NE(refusal([] { faults::too_much_static_shared(); }).find("65536 bytes declared"), std::string::npos);
  EXPECT_NE(refusal([] { probes::static_and_dynamic(40 * 1024); }).find("40960 dynamic"), std::string::npos)
      << "static and dynamic count together";
}

TEST(Limits, MoreSharedMemoryByOptingIn) {
  const DeviceArray<float> out(1);
  EXPECT_EQ(probes::opt_in(99 * 1024 + 1), cudaErrorInvalidValue);
  cudaGetLastError();
  EXPECT_EQ(probes::opt_in(80 * 1024), cudaSuccess);
  EXPECT_EQ(refusal([&] { probes::uses_dynamic(out.data(), 80 * 1024); }), "accepted");
  EXPECT_NE(refusal([&] { probes::uses_dynamic(out.data(), 80 * 1024 + 4); }).find("allowed are 81920"),
            std::string::npos);
}

TEST(Limits, DeviceSaysWhatItIs) {
  int count = 0;
  check(cudaGetDeviceCount(&count));
  EXPECT_EQ(count, 1);
  cudaDeviceProp properties;
  check(cudaGetDeviceProperties(&properties, 0));
  EXPECT_EQ(properties.maxThreadsPerBlock, 1024);
  EXPECT_EQ(properties.sharedMemPerBlock, 49152u);
  EXPECT_EQ(properties.warpSize, 32);
  EXPECT_EQ(cudaSetDevice(1), cudaErrorInvalidDevice);
  EXPECT_THROW(check(cudaErrorInvalidDevice), Error);
}

TEST(Limits, LaunchesAreCountedByName) {
  const DeviceArray<float> x(std::vector<float>(64, 1.0f)), y(64), sums(2);
  reset_launch_counts();
  demo::add(x.data(), x.data(), y.data(), 64, nullptr);
  demo::sum_rows(x.data(), sums.data(), 2, 32, 32, nullptr);
  demo::sum_rows(x.data(), sums.data(), 2, 32, 32, nullptr);
  check(cudaDeviceSynchronize());
  const std::map<std::string, std::int64_t> expected = {{"demo::add_kernel<float, 4>", 1},
                                                        {"demo::sum_rows_kernel<float>", 2}};
  EXPECT_EQ(launch_counts(), expected);
}

}  // namespace
}  // namespace folio::cuda_emulated
