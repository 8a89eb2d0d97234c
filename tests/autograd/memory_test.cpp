// What the allocator of the CPU hands out, keeps and gives back, whatever the order.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cstring>
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

/// A tensor each byte of which is its number's last one.
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
  std::size_t held = before;
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
    held = held_memory(Device::cpu);
    RC_ASSERT(held >= before + live);
  }
  alive.clear();
  release_cached_memory();
  RC_ASSERT(held_memory(Device::cpu) == before);
}

TEST(Memory, OfASlabGoesBackOnceNoTensorIsInIt) {
  release_cached_memory();
  const std::size_t before = held_memory(Device::cpu);
  std::vector<Tensor> many;
  for (int i = 0; i < 40; ++i) many.push_back(empty({1 << 18}));  // of 1 MiB, eight to a slab
  const std::size_t all = held_memory(Device::cpu) - before;
  EXPECT_EQ(all, 40U << 20);
  const Tensor one = many.back();
  many.clear();
  release_cached_memory();
  const std::size_t rest = held_memory(Device::cpu) - before;
  EXPECT_GE(rest, 1U << 20) << "a tensor is in use";
  EXPECT_LE(rest, 8U << 20) << "it holds a slab, not those of others";
}

}  // namespace
}  // namespace folio
