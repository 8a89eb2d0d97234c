#include <algorithm>
#include <bit>
#include <numeric>
#include <set>

#include "tests/cuda/emulator/device_array.hpp"
#include "tests/cuda/emulator/draw.hpp"
#include "tests/cuda/emulator/probes.hpp"

// Threads, warps and blocks do what CUDA's manual says, in every order.
namespace folio::cuda_emulated {
namespace {

using testing::DeviceArray;
using testing::draw_between;
using testing::draw_order;
using testing::draw_whole_numbers;

FOLIO_PROPERTY(Execution, EveryThreadRunsOnceWithItsCoordinates) {
  draw_order(shares, seed);
  const dim3 grid(draw_between(1, 4), draw_between(1, 3), draw_between(1, 3));
  const dim3 block(draw_between(1, 40), draw_between(1, 5), draw_between(1, 3));
  const std::size_t threads = grid.count() * block.count();
  shares.note("of several blocks", grid.count() > 1, 60);
  shares.note("of several warps", block.count() > 32, 50);
  shares.note("in three dimensions", grid.z > 1 && block.z > 1, 15);
  const DeviceArray<unsigned> out(12 * threads);
  probes::coordinates(out.data(), grid, block);
  const auto c = out.host();
  for (std::size_t i = 0; i < threads; ++i) {
    const auto t = static_cast<unsigned>(i % block.count()), b = static_cast<unsigned>(i / block.count());
    const unsigned expected[12] = {t % block.x,
                                   t / block.x % block.y,
                                   t / (block.x * block.y),
                                   b % grid.x,
                                   b / grid.x % grid.y,
                                   b / (grid.x * grid.y),
                                   block.x,
                                   block.y,
                                   block.z,
                                   grid.x,
                                   grid.y,
                                   grid.z};
    RC_ASSERT(std::equal(expected, expected + 12, &c[12 * i]));
  }
}

std::vector<int> traced(Order order, std::uint64_t seed, int blocks, int threads, bool with_barrier) {
  set_order(order, seed);
  const DeviceArray<unsigned> counter(std::vector<unsigned>{0});
  const DeviceArray<int> trace(static_cast<std::size_t>(blocks * threads));
  probes::trace(counter.data(), trace.data(), blocks, threads, with_barrier);
  auto result = trace.host();
  set_order(Order::in_order);
  return result;
}

TEST(Execution, OrdersAreWhatTheySay) {
  const bool barriers[] = {false, true};
  for (const bool barrier : barriers) {
    const auto forward = traced(Order::in_order, 0, 3, 70, barrier);
    EXPECT_TRUE(std::is_sorted(forward.begin(), forward.end()));
    const auto backward = traced(Order::reverse, 0, 3, 70, barrier);
    EXPECT_TRUE(std::is_sorted(backward.rbegin(), backward.rend()));
    for (const Order order : {Order::uniform, Order::warp_priority}) {
      const auto one = traced(order, 1, 3, 70, barrier), same = traced(order, 1, 3, 70, barrier);
      const auto other = traced(order, 2, 3, 70, barrier);
      EXPECT_EQ(one, same) << "the seed decides";
      EXPECT_NE(one, other);
      EXPECT_EQ(std::set<int>(one.begin(), one.end()).size(), 210u);
    }
  }
}

TEST(Execution, WarpPriorityRunsOneWarpFarAheadOfTheOthers) {
  const auto trace = traced(Order::warp_priority, 5, 1, 256, true);
  int changes = 0;
  for (int i = 1; i < 256; ++i) changes += trace[i] / 32 != trace[i - 1] / 32;
  EXPECT_LT(changes, 16) << "warps come one after another";
  const auto mixed = traced(Order::uniform, 5, 1, 256, true);
  changes = 0;
  for (int i = 1; i < 256; ++i) changes += mixed[i] / 32 != mixed[i - 1] / 32;
  EXPECT_GT(changes, 150) << "threads come from everywhere";
}

/// The manual's rule for a shuffle's source lane.
int source(int call, int lane, int d, int width) {
  const int segment = lane / width * width, end = segment + width;
  const int from = call == 0 ? segment + d % width : call == 1 ? lane - d : call == 2 ? lane + d : lane ^ d;
  if (call == 1 && from < segment) return lane;
  if (call >= 2 && from >= end) return lane;
  return from;
}

FOLIO_PROPERTY(Execution, WarpCallsFollowTheManual) {
  draw_order(shares, seed);
  const int threads = 32 * draw_between(1, 5), distance = draw_between(0, 31), width = 1 << draw_between(0, 5);
  shares.note("of several warps", threads > 32, 50);
  shares.note("within a part of a warp", width > 1 && width < 32, 50);
  shares.note("at a distance", distance > 0, 70);
  const auto x = draw_whole_numbers<int>(threads);
  const DeviceArray<int> in(x), out(static_cast<std::size_t>(probes::warp_results * threads));
  probes::warp_calls(in.data(), out.data(), threads, distance, width);
  const auto y = out.host();
  for (int t = 0; t < threads; ++t) {
    const int lane = t % 32;
    const int* warp = &x[t - lane];
    const int* got = &y[probes::warp_results * t];
    for (int call = 0; call < 4; ++call) {
      RC_ASSERT(got[call] == warp[source(call, lane, distance, 32)]);
      RC_ASSERT(got[4 + call] == warp[source(call, lane, distance, width)]);
    }
    unsigned odd = 0;
    for (int i = 0; i < 32; ++i) odd |= static_cast<unsigned>(warp[i] % 2 != 0) << i;
    const auto above = [](int limit) { return [limit](int value) { return value > limit; }; };
    RC_ASSERT(static_cast<unsigned>(got[8]) == odd);
    RC_ASSERT((got[9] != 0) == std::any_of(warp, warp + 32, above(5)));
    RC_ASSERT((got[10] != 0) == std::all_of(warp, warp + 32, above(5)));
    RC_ASSERT(got[11] == warp[lane ^ 1]);
    RC_ASSERT(got[12] == warp[3]);
    RC_ASSERT(got[13] == std::count_if(warp, warp + 32, above(0)));
    const auto first = std::find_if(warp, warp + 32, above(5));
    RC_ASSERT(got[15] == (first == warp + 32 ? 0 : static_cast<int>(first - warp) + 1));
  }
}

FOLIO_PROPERTY(Execution, EightByteShuffles) {
  draw_order(shares, seed);
  const int threads = 32 * draw_between(1, 3);
  shares.note("of several warps", threads > 32, 40);
  auto x = draw_whole_numbers<double>(threads);
  for (double& value : x) value += 1e-12;
  std::vector<long long> n(threads);
  std::iota(n.begin(), n.end(), 1ll << 40);
  const DeviceArray<double> in(x), out(x.size());
  const DeviceArray<long long> in_n(n), out_n(n.size());
  probes::shuffle_doubles(in.data(), out.data(), threads);
  probes::shuffle_longs(in_n.data(), out_n.data(), threads);
  const auto y = out.host();
  const auto m = out_n.host();
  for (int t = 0; t < threads; ++t) {
    RC_ASSERT(y[t] == x[t ^ 1]);
    RC_ASSERT(m[t] == n[t ^ 1]);
  }
}

FOLIO_PROPERTY(Execution, HalvesOfAWarpMeetSeparately) {
  draw_order(shares, seed);
  const int threads = 32 * draw_between(1, 4);
  shares.note("of several warps", threads > 32, 40);
  const auto x = draw_whole_numbers<int>(threads);
  const DeviceArray<int> in(x), out(x.size());
  probes::half_warps(in.data(), out.data(), threads);
  const auto y = out.host();
  for (int t = 0; t < threads; ++t) {
    const auto half = x.begin() + t / 16 * 16;
    RC_ASSERT(y[t] == std::accumulate(half, half + 16, 0));
  }
}

FOLIO_PROPERTY(Execution, BlockVotes) {
  draw_order(shares, seed);
  const int threads = draw_between(1, 200), at_least = draw_between(-9, 9);
  auto x = draw_whole_numbers<int>(threads);
  for (int& value : x) value = value >= at_least;
  const DeviceArray<int> in(x), out(static_cast<std::size_t>(3 * threads));
  probes::block_votes(in.data(), out.data(), threads);
  const auto y = out.host();
  const int count = std::accumulate(x.begin(), x.end(), 0);
  shares.note("of several warps", threads > 32, 50);
  shares.note("of divided votes", count > 0 && count < threads, 50);
  for (int t = 0; t < threads; ++t) {
    RC_ASSERT(y[3 * t] == count);
    RC_ASSERT((y[3 * t + 1] != 0) == (count == threads));
    RC_ASSERT((y[3 * t + 2] != 0) == (count > 0));
  }
}

FOLIO_PROPERTY(Execution, AtomicsOfAllThreadsAddUp) {
  draw_order(shares, seed);
  const int blocks = draw_between(1, 3), threads = draw_between(1, 70), n = blocks * threads;
  shares.note("of several blocks", blocks > 1, 40);
  shares.note("of several warps", threads > 32, 30);
  std::vector<int> i(8 + n, 0);
  i[5] = -1;
  const DeviceArray<int> di(i);
  const DeviceArray<unsigned> du(std::vector<unsigned>(4, 0));
  const DeviceArray<unsigned long long> dl(std::vector<unsigned long long>(2, 0));
  const DeviceArray<float> df(std::vector<float>(1, 0));
  const DeviceArray<double> dd(std::vector<double>(1, 0));
  probes::atomics(di.data(), du.data(), dl.data(), df.data(), dd.data(), blocks, threads);
  i = di.host();
  const auto u = du.host();
  const auto l = dl.host();
  int bits = 0, parity = 0;
  unsigned down = 0;
  for (int t = 0; t < n; ++t) {
    bits |= 1 << t % 31;
    parity ^= t;
    down = down == 0 || down > 9 ? 9 : down - 1;
  }
  RC_ASSERT(i[0] == n * (n - 1) / 2);
  RC_ASSERT(i[1] == -i[0]);
  RC_ASSERT(i[2] == n - 1);
  RC_ASSERT(i[3] == 1 - n);
  RC_ASSERT(i[4] == bits);
  RC_ASSERT(i[5] == ~bits);
  RC_ASSERT(i[6] == parity);
  std::multiset<int> exchanged(i.begin() + 7, i.end()), expected{0};  // each value handed on once, the first was 0
  for (int t = 0; t < n; ++t) expected.insert(t);
  RC_ASSERT(exchanged == expected);
  RC_ASSERT(u[0] == static_cast<unsigned>(i[0]));
  RC_ASSERT(u[1] == static_cast<unsigned>(n) % 10);
  RC_ASSERT(u[2] == down);
  RC_ASSERT(u[3] == static_cast<unsigned>(n - 1));
  RC_ASSERT(l[0] == static_cast<unsigned long long>(n) << 33);
  RC_ASSERT(l[1] == 1ull << std::min(n - 1, 39));
  RC_ASSERT(df.host()[0] == 0.5f * static_cast<float>(n));
  RC_ASSERT(dd.host()[0] == 0.25 * n);
}

TEST(Execution, CompareAndSwapIsReallyRetried) {
  const std::vector<float> x(64, 1.0f);
  const DeviceArray<float> in(x);
  const auto retries = [&](Order order) {
    set_order(order, 3);
    const DeviceArray<unsigned> y(std::vector<unsigned>{0}), lost(std::vector<unsigned>{0});
    probes::swap_sum(in.data(), y.data(), lost.data(), 64);
    EXPECT_EQ(std::bit_cast<float>(y.host()[0]), 64.0f);
    set_order(Order::in_order);
    return lost.host()[0];
  };
  EXPECT_EQ(retries(Order::in_order), 0u);
  EXPECT_GT(retries(Order::uniform), 0u);
  EXPECT_GT(retries(Order::warp_priority), 0u);
}

FOLIO_PROPERTY(Execution, ThreadsPassBarriersTogether) {
  draw_order(shares, seed);
  const int blocks = draw_between(1, 3), threads = draw_between(1, 1024), rounds = draw_between(0, 5);
  shares.note("of several barriers", rounds > 1, 50);
  shares.note("of several warps", threads > 32, 70);
  const DeviceArray<float> out(static_cast<std::size_t>(blocks * threads));
  probes::barriers(out.data(), blocks, threads, rounds);
  for (const float value : out.host()) RC_ASSERT(value == static_cast<float>(rounds));
}

}  // namespace
}  // namespace folio::cuda_emulated
