#include <gtest/gtest.h>

#include <functional>
#include <numeric>

#include "cuda/emulated/control.hpp"
#include "tests/cuda/emulator/demo/demo.hpp"
#include "tests/cuda/emulator/device_array.hpp"
#include "tests/cuda/emulator/faults.hpp"
#include "tests/cuda/emulator/probes.hpp"

// The race build: every planted race is found in whatever order the threads run, and nothing that is right is reported.
namespace folio::cuda_emulated {
namespace {

using testing::DeviceArray;

std::string found(FaultKind kind, const std::function<void()>& launches) {
  try {
    launches();
    check(cudaDeviceSynchronize());
  } catch (const Fault& fault) {
    EXPECT_EQ(fault.kind(), kind) << fault.what();
    return fault.what();
  }
  return "nothing";
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// The report in each order holds all the parts.
void expect_race(const std::function<void()>& launches, const std::vector<std::string>& parts) {
  for (const Order order : all_orders) {
    set_order(order, 1);
    const std::string text = found(FaultKind::race, launches);
    for (const auto& part : parts) EXPECT_TRUE(contains(text, part)) << name_of(order) << ": " << text;
    EXPECT_FALSE(contains(text, "\n"));
  }
  set_order(Order::in_order);
}

TEST(Race, ThisIsTheRaceBuild) { EXPECT_TRUE(race_build()); }

TEST(Race, MissingBarrierBeforeARead) {
  const DeviceArray<float> x(std::vector<float>(256, 1.0f)), y(256);
  expect_race([&] { faults::missing_barrier(x.data(), y.data(), 256); },
              {"kernel faults::missing_barrier_kernel, block (0,0,0), thread (", "race: ", "of shared memory",
               "with no order between them", "tests/cuda/emulator/faults.cu:", "of the block at"});
}

TEST(Race, MissingReuseBarrier) {
  const DeviceArray<float> x(std::vector<float>(256, 1.0f)), y(512);
  expect_race([&] { faults::missing_reuse_barrier(x.data(), y.data(), 256); }, {"race: ", "of shared memory"});
}

TEST(Race, PlainIncrement) {
  const DeviceArray<float> y(std::vector<float>{0});
  expect_race([&] { faults::plain_increment(y.data(), 1, 64); }, {"offset 0 of a device allocation of 4 bytes"});
  expect_race([&] { faults::plain_increment(y.data(), 2, 1); }, {"by thread 0 of block "});
}

TEST(Race, Lockstep) {
  const DeviceArray<float> x(std::vector<float>(32, 1.0f)), y(1);
  expect_race([&] { faults::lockstep(x.data(), y.data()); }, {"race: "});
}

TEST(Race, BlocksAreNeverOrdered) {
  const DeviceArray<float> y(2);
  expect_race([&] { faults::reads_other_block(y.data()); }, {"of block "});
}

TEST(Race, AtomicsAreNoBarrier) {
  const DeviceArray<float> y(std::vector<float>(2, 0.0f));
  expect_race([&] { faults::atomic_then_plain_read(y.data(), 64); }, {"atomic"});
}

TEST(Race, OutOfBoundsOfDeviceMemory) {
  const DeviceArray<float> y(64), other(64);
  for (const int offset : {1, -1, 16}) {
    const std::string text = found(FaultKind::memory, [&] { faults::write_at(y.data(), offset, 64); });
    EXPECT_TRUE(contains(text, "tests/cuda/emulator/faults.cu:")) << text;
    EXPECT_TRUE(contains(text, "write of 4 bytes at ")) << text;
  }
  EXPECT_EQ(found(FaultKind::memory, [&] { faults::write_at(y.data(), 0, 64); }), "nothing");
}

TEST(Race, OutOfBoundsOfAClaimedPart) {
  const DeviceArray<float> whole(256);
  memory_claimed(whole.data(), 40, nullptr);
  EXPECT_EQ(found(FaultKind::memory, [&] { faults::write_at(whole.data(), 0, 10); }), "nothing");
  EXPECT_TRUE(contains(found(FaultKind::memory, [&] { faults::write_at(whole.data(), 0, 11); }), "offset 40"));
}

TEST(Race, OutOfBoundsOfSharedMemory) {
  const DeviceArray<float> y(1);
  EXPECT_EQ(found(FaultKind::memory, [&] { faults::shared_write_at(31, y.data()); }), "nothing");
  for (const int index : {32, -1}) {
    const std::string text = found(FaultKind::memory, [&] { faults::shared_write_at(index, y.data()); });
    EXPECT_TRUE(contains(text, "outside every array in shared memory")) << text;
  }
}

TEST(Race, RightKernelsAreNotReported) {
  const DeviceArray<float> x(std::vector<float>(6400, 1.0f)), y(6400), sums(64);
  const DeviceArray<bfloat16> h(std::vector<bfloat16>(999, bfloat16(1.0f))), g(999);
  const DeviceArray<unsigned char> bytes(256);
  for (const Order order : all_orders) {
    for (int seed = 0; seed < 3; ++seed) {
      set_order(order, seed);
      const std::string text = found(FaultKind::race, [&] {
        demo::add(x.data(), x.data(), y.data(), 6400, nullptr);
        demo::add(h.data(), h.data(), g.data(), 999, nullptr);
        demo::add(h.data() + 1, h.data() + 1, g.data() + 1, 997, nullptr);
        demo::sum_rows(x.data(), sums.data(), 64, 100, 96, nullptr);
        demo::softmax_rows(x.data(), y.data(), 64, 100, 256, nullptr);
        demo::transpose(x.data(), y.data(), 80, 80, nullptr);
        demo::transpose(h.data(), g.data(), 27, 37, nullptr);
        faults::neighbouring_bytes(bytes.data(), 256);
        faults::ordered_by_syncwarp(x.data(), y.data(), 96);
        faults::plain_increment(y.data(), 1, 1);
        faults::plain_increment(y.data(), 1, 1);
      });
      EXPECT_EQ(text, "nothing") << name_of(order);
    }
  }
  set_order(Order::in_order);
}

TEST(Race, AtomicsOfAllThreadsAreNotReported) {
  const DeviceArray<int> i(std::vector<int>(8 + 128, 0));
  const DeviceArray<unsigned> u(std::vector<unsigned>(4, 0));
  const DeviceArray<unsigned long long> l(std::vector<unsigned long long>(2, 0));
  const DeviceArray<float> f(std::vector<float>(1, 0));
  const DeviceArray<double> d(std::vector<double>(1, 0));
  const auto atomics = [&] { probes::atomics(i.data(), u.data(), l.data(), f.data(), d.data(), 2, 64); };
  EXPECT_EQ(found(FaultKind::race, atomics), "nothing");
}

TEST(Race, EveryBarrierOfTheDemosIsNeeded) {
  const DeviceArray<float> x(std::vector<float>(6400, 1.0f)), y(6400), sums(64);
  const auto run = [&] {
    demo::softmax_rows(x.data(), y.data(), 3, 200, 256, nullptr);
    demo::transpose(x.data(), y.data(), 80, 80, nullptr);
  };
  reset_barrier_sites();
  ASSERT_EQ(found(FaultKind::race, run), "nothing");
  const auto sites = barrier_sites();
  ASSERT_EQ(sites.size(), 3u);
  for (const BarrierSite& site : sites) {
    const DeletedBarrier deleted(site);
    expect_race(run, {"race: "});
  }
}

TEST(Race, SyncwarpOrdersItsLanesAndOnlyIfItIsThere) {
  const DeviceArray<float> x(std::vector<float>(96, 1.0f)), y(96);
  const auto run = [&] { faults::ordered_by_syncwarp(x.data(), y.data(), 96); };
  reset_barrier_sites();
  ASSERT_EQ(found(FaultKind::race, run), "nothing");
  const auto sites = barrier_sites();
  ASSERT_EQ(sites.size(), 2u);
  for (const BarrierSite& site : sites) {
    const DeletedBarrier deleted(site);
    expect_race(run, {"race: "});
  }
}

}  // namespace
}  // namespace folio::cuda_emulated
