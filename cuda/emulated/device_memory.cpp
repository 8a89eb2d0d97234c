#include "cuda/emulated/device_memory.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <map>

#include "cuda/emulated/sanitizer.hpp"

namespace folio::cuda_emulated {
namespace {

struct Allocation {
  std::size_t bytes = 0;
  bool in_parts = false;
  std::map<std::byte*, std::size_t> parts;  // what is claimed, where it is handed out in parts

  template <typename F>
  void each_span(std::byte* base, F&& f) const {
    if (!in_parts) return f(base, bytes);
    for (const auto& [begin, part] : parts) f(begin, part);
  }
};

using Allocations = std::map<std::byte*, Allocation>;

struct Memory {
  Allocations device, pinned;
  MemoryStatistics statistics{.capacity_bytes = std::size_t{16} << 30};
  int open = 0;
};

Memory& memory() {
  static Memory* const the = new Memory;
  return *the;
}

constexpr std::size_t guard_bytes = 256;
constexpr std::byte guard_value{0xa5};

std::byte* aligned(std::size_t bytes) {
  void* address = nullptr;
  return posix_memalign(&address, 256, bytes) == 0 ? static_cast<std::byte*>(address) : nullptr;
}

void set_guards(std::byte* base, std::size_t bytes) {
  std::memset(base - guard_bytes, static_cast<int>(guard_value), guard_bytes);
  std::memset(base + bytes, static_cast<int>(guard_value), guard_bytes);
  forbid(base - guard_bytes, guard_bytes);
  forbid(base + bytes, guard_bytes);
}

/// The allocation that holds `address`, its end included; end() where none does.
Allocations::iterator holder(Allocations& all, const void* address) {
  auto* at = static_cast<std::byte*>(const_cast<void*>(address));
  auto next = all.upper_bound(at);
  if (next == all.begin()) return all.end();
  --next;
  return at <= next->first + next->second.bytes ? next : all.end();
}

}  // namespace

void* allocate_device(std::size_t bytes) {
  Memory& m = memory();
  const std::size_t capacity = m.statistics.capacity_bytes;
  if (bytes > capacity || m.statistics.bytes > capacity - bytes) return nullptr;
  std::byte* base = aligned(bytes + 2 * guard_bytes);
  if (base == nullptr) return nullptr;
  base += guard_bytes;
  std::memset(base, 0xff, bytes);
  set_guards(base, bytes);
  if (m.open == 0) forbid(base, bytes);
  m.device[base].bytes = bytes;
  MemoryStatistics& s = m.statistics;
  s.bytes += bytes;
  s.peak_bytes = std::max(s.peak_bytes, s.bytes);
  ++s.live, ++s.allocations;
  return base;
}

bool free_device(void* address) {
  Memory& m = memory();
  const auto found = m.device.find(static_cast<std::byte*>(address));
  if (found == m.device.end()) return false;
  allow(found->first - guard_bytes, found->second.bytes + 2 * guard_bytes);
  m.statistics.bytes -= found->second.bytes;
  --m.statistics.live, ++m.statistics.frees;
  std::free(found->first - guard_bytes);
  m.device.erase(found);
  return true;
}

void* allocate_pinned(std::size_t bytes) {
  std::byte* base = aligned(bytes);
  if (base == nullptr) return nullptr;
  std::memset(base, 0xff, bytes);
  memory().pinned[base].bytes = bytes;
  ++memory().statistics.pinned_live;
  return base;
}

bool free_pinned(void* address) {
  Memory& m = memory();
  if (m.pinned.erase(static_cast<std::byte*>(address)) == 0) return false;
  --m.statistics.pinned_live;
  std::free(address);
  return true;
}

void claim(void* address, std::size_t bytes) {
  const auto found = holder(memory().device, address);
  if (found == memory().device.end()) return;
  Allocation& a = found->second;
  if (!a.in_parts) {
    a.in_parts = true;
    forbid(found->first, a.bytes);
  }
  a.parts[static_cast<std::byte*>(address)] = bytes;
  allow(address, bytes);
  std::memset(address, 0xff, bytes);
}

void release(void* address, std::size_t bytes) {
  const auto found = holder(memory().device, address);
  if (found == memory().device.end()) return;
  found->second.parts.erase(static_cast<std::byte*>(address));
  forbid(address, bytes);
}

std::span<const std::byte> span_at(const void* address) {
  Memory& m = memory();
  auto* at = static_cast<std::byte*>(const_cast<void*>(address));
  if (const auto found = holder(m.device, address); found != m.device.end()) {
    const auto& [base, a] = *found;
    if (!a.in_parts) return {base, a.bytes};
    const auto next = a.parts.upper_bound(at);
    if (next == a.parts.begin()) return {};
    const auto& [begin, bytes] = *std::prev(next);
    return at <= begin + bytes ? std::span<const std::byte>(begin, bytes) : std::span<const std::byte>();
  }
  const auto found = holder(m.pinned, address);
  return found == m.pinned.end() ? std::span<const std::byte>()
                                 : std::span<const std::byte>(found->first, found->second.bytes);
}

Home home_of(const void* address, std::size_t bytes) {
  Memory& m = memory();
  const bool device = holder(m.device, address) != m.device.end();
  if (!device && holder(m.pinned, address) == m.pinned.end()) return Home::host;
  const auto span = span_at(address);
  const auto* at = static_cast<const std::byte*>(address);
  if (span.data() == nullptr || at + bytes > span.data() + span.size()) return Home::device_outside;
  return device ? Home::device : Home::pinned;
}

std::optional<std::ptrdiff_t> take_stray_write(const void* address) {
  if (address == nullptr) return std::nullopt;
  const auto found = holder(memory().device, address);
  if (address_sanitizer || found == memory().device.end()) return std::nullopt;  // the sanitizer sees the write itself
  const auto& [base, a] = *found;
  for (std::byte* guard : {base + a.bytes, base - guard_bytes}) {
    const auto* changed = std::find_if(guard, guard + guard_bytes, [](std::byte b) { return b != guard_value; });
    if (changed == guard + guard_bytes) continue;
    set_guards(base, a.bytes);
    return changed - base;
  }
  return std::nullopt;
}

std::string describe_address(const void* address) {
  Memory& m = memory();
  const auto found = holder(m.device, address);
  if (found == m.device.end()) return "an address in no device allocation";
  const auto offset = static_cast<const std::byte*>(address) - found->first;
  return "offset " + std::to_string(offset) + " of a device allocation of " + std::to_string(found->second.bytes) +
         " bytes";
}

DeviceMemoryOpen::DeviceMemoryOpen() {
  if (memory().open++ > 0 || !address_sanitizer) return;
  for (const auto& [base, a] : memory().device) a.each_span(base, allow);
}

DeviceMemoryOpen::~DeviceMemoryOpen() {
  if (--memory().open > 0 || !address_sanitizer) return;
  for (const auto& [base, a] : memory().device) forbid(base, a.bytes);
}

MemoryStatistics memory_statistics() { return memory().statistics; }
void reset_peak() { memory().statistics.peak_bytes = memory().statistics.bytes; }
void set_memory_capacity(std::size_t bytes) { memory().statistics.capacity_bytes = bytes; }

}  // namespace folio::cuda_emulated
