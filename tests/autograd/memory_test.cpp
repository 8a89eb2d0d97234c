// What the allocator of the CPU hands out, keeps and gives back, whatever the order.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <latch>
#include <thread>
#include <vector>

#include "autograd/memory.hpp"
#include "autograd/tensor.hpp"

namespace folio {
namespace {

/// Sizes of all kinds: a few bytes, parts of a slab, and more than one.
std::int64_t draw_bytes() {
  const int bits = *rc::gen::inRange(0, 25);
  return *rc::gen::inRange<std::int64_t>(1, (std::int64_t{1} << bits) + 1);
}

/// A tensor that is filled with one byte.
struct Marked {
  Tensor tensor;
  int mark;

  Marked(std::int64_t bytes, int number) : tensor(empty({(bytes + 3) / 4}, {DType::int32})), mark(number % 251) {
    std::memset(tensor.storage()->data(), mark, tensor.storage()->bytes());
  }
  bool is_intact() const {
    const std::byte* data = tensor.storage()->data();
    return std::all_of(data, data + tensor.storage()->bytes(), [&](std::byte b) { return b == std::byte(mark); });
  }
};

RC_GTEST_PROP(Memory, IsNeverSharedAndAllGoesBack, ()) {
  release_cached_memory();
  const std::size_t before = held_memory(Device::cpu);
  std::vector<Marked> alive;
  const int actions = *rc::gen::inRange(1, 60);
  for (int i = 0; i < actions; ++i) {
    const int action = *rc::gen::inRange(0, 8);
    if (action < 5) {
      alive.emplace_back(draw_bytes(), i);
      const std::byte* data = alive.back().tensor.storage()->data();
      RC_ASSERT(reinterpret_cast<std::uintptr_t>(data) % 64 == 0U);
    } else if (action < 7 && !alive.empty()) {
      alive.erase(alive.begin() + *rc::gen::inRange<std::ptrdiff_t>(0, std::ssize(alive)));
    } else {
      release_cached_memory();
    }
    std::size_t live = 0;
    for (const Marked& each : alive) {
      RC_ASSERT(each.is_intact());
      live += each.tensor.storage()->bytes();
    }
    RC_ASSERT(held_memory(Device::cpu) >= live);
  }
  alive.clear();
  release_cached_memory();
  RC_ASSERT(held_memory(Device::cpu) == before);
}

TEST(Memory, OfASlabGoesBackOnceNoTensorIsInIt) {
  release_cached_memory();
  const std::size_t before = held_memory(Device::cpu);
  Tensors many(40);
  for (Tensor& each : many) each = empty({1 << 18});  // of 1 MiB, eight to a slab
  const std::size_t all = held_memory(Device::cpu) - before;
  EXPECT_GE(all, 32U << 20);
  EXPECT_LE(all, 48U << 20);
  const Tensor one = many.back();
  many.clear();
  release_cached_memory();
  const std::size_t rest = held_memory(Device::cpu) - before;
  EXPECT_GE(rest, 1U << 20) << "a tensor is in use";
  EXPECT_LE(rest, 8U << 20) << "it holds a slab, not those of others";
}

TEST(Memory, OfATensorThatGrowsDoesNotAddUp) {
  release_cached_memory();
  const std::size_t before = held_memory(Device::cpu);
  std::size_t most = 0;
  constexpr std::int64_t mebibyte = 1 << 18;
  for (std::int64_t size = mebibyte; size <= 256 * mebibyte; size += mebibyte) {
    const Tensor grown = empty({size});
    most = std::max(most, held_memory(Device::cpu) - before);
  }
  EXPECT_LE(most, 4U * 256 << 20);
}

#ifndef __SANITIZE_ADDRESS__  // which keeps nothing
/// As training steps do: much, and between a little of other sizes.
TEST(Memory, StaysWhereTheSameIsAskedAgainAndAgain) {
  release_cached_memory();
  std::vector<std::size_t> held;
  constexpr std::int64_t mebibyte = 1 << 18;
  for (int round = 0; round < 5; ++round) {
    for (const auto& [count, size] : {std::pair(60, 2), {1, 7}, {60, 3}, {1, 5}}) {
      Tensors all(static_cast<std::size_t>(count));
      for (Tensor& each : all) each = empty({size * mebibyte});
      if (round > 0) held.push_back(held_memory(Device::cpu));
    }
  }
  EXPECT_EQ(std::ranges::min(held), std::ranges::max(held));
}
#endif

#ifndef __SANITIZE_ADDRESS__  // whose allocator ends the program
TEST(Memory, TellsWhereThereIsNone) { EXPECT_THROW(Storage(~std::size_t{0}, Device::cpu), OutOfMemory); }
#endif

/// Blocks that one thread frees while others take some.
TEST(Memory, IsApartInEveryThread) {
  constexpr int threads = 4;
  std::vector<std::thread> all;
  all.reserve(threads);
  std::atomic<int> spoilt = 0;
  std::latch ready(threads);
  for (int t = 0; t < threads; ++t) {
    all.emplace_back([&, t] {
      std::vector<Marked> alive;
      ready.arrive_and_wait();
      for (int i = 0; i < 60000; ++i) {
        alive.emplace_back(std::int64_t{1} << (i * 7 + t) % 10, t);
        if (alive.size() > 8) alive.erase(alive.begin() + (i * 5) % 8);
        if (i % 500 == 0) release_cached_memory();
        for (const Marked& each : alive) spoilt += each.is_intact() ? 0 : 1;
      }
    });
  }
  for (std::thread& each : all) each.join();
  EXPECT_EQ(spoilt, 0);
}

}  // namespace
}  // namespace folio
