#include "cuda/emulated/shared_memory.hpp"

#include <cstring>
#include <memory>
#include <vector>

#include "cuda/emulated/block.hpp"
#include "cuda/emulated/observer.hpp"
#include "cuda/emulated/sanitizer.hpp"

namespace folio::cuda_emulated {

std::uint64_t running_block = 0;

namespace {

// Arrays lie apart, so that a step past the end of one meets no other.
constexpr std::size_t gap = 64, storage_bytes = 1 << 20;

struct Array {
  std::byte* begin;
  std::size_t bytes;
};

struct Storage {
  std::byte* const base = static_cast<std::byte*>(::operator new(storage_bytes, std::align_val_t{128}));
  std::byte* next = base;
  std::size_t used = 0;  // of the hardware's memory
  std::vector<Array> arrays;
  void* dynamic = nullptr;

  Storage() { forbid(base, storage_bytes); }

  void clear() {
    forbid(base, next - base);
    next = base;
    used = 0;
    arrays.clear();
  }

  void* place(std::size_t bytes) {
    std::byte* at = next;
    require(next + bytes + 2 * gap + 128 <= base + storage_bytes,
            [] { return "SHARED: too many arrays in one block"; });
    next += (bytes + gap + 127) / 128 * 128;
    arrays.push_back({at, bytes});
    allow(at, bytes);
    std::memset(at, 0xff, bytes);
    return at;
  }
};

Storage& storage() {
  static Storage* const the = new Storage;
  return *the;
}

}  // namespace

void begin_shared_memory(const LaunchRequest& request) {
  ++running_block;
  Storage& s = storage();
  s.clear();
  s.used = request.dynamic_bytes;
  s.dynamic = s.place(request.dynamic_bytes);
}

void end_shared_memory() {
  ++running_block;
  storage().clear();
}

void* place_shared(SharedSlot& slot, std::size_t bytes, std::size_t alignment, std::source_location where) {
  EmulatorAtWork at_work;
  require(block().active(), [] { return "SHARED outside a kernel"; });
  require(alignment <= 128, [] { return "SHARED: alignment above 128 bytes"; });
  Storage& s = storage();
  const std::size_t dynamic = block().request().dynamic_bytes, fixed = s.used - dynamic + bytes;
  const std::size_t limit = block().request().opted_in ? shared_opt_in_limit : shared_limit;
  if (fixed > shared_limit || fixed + dynamic > limit) {
    block().fail(FaultKind::launch, where,
                 "shared memory: " + std::to_string(fixed) + " bytes declared and " + std::to_string(dynamic) +
                     " dynamic, the limit is " + std::to_string(limit));
  }
  s.used += bytes;
  slot.storage = s.place(bytes);
  slot.block = running_block;
  return slot.storage;
}

void* dynamic_shared() {
  EmulatorAtWork at_work;
  require(block().active(), [] { return "DYN_SHARED outside a kernel"; });
  return storage().dynamic;
}

SharedPlace place_in_shared(const void* address, std::size_t bytes) {
  const auto* at = static_cast<const std::byte*>(address);
  const Storage& s = storage();
  if (at < s.base || at >= s.base + storage_bytes) return SharedPlace::elsewhere;
  for (const Array& array : s.arrays) {
    if (at >= array.begin && at + bytes <= array.begin + array.bytes) return SharedPlace::inside;
  }
  return SharedPlace::outside_every_array;
}

std::size_t offset_in_shared(const void* address) {
  return static_cast<std::size_t>(static_cast<const std::byte*>(address) - storage().base);
}

}  // namespace folio::cuda_emulated
