#include "cuda/emulated/device_memory.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
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

/// What memory holds that nobody may touch: 16-bit words 0xfffe, in every float type NaN and as a signed integer no index,
/// so that a read shows in what is made of it; and no value that kernels write, as the −1 and the NaN of new memory are.
constexpr auto guard_pattern = [] {
  std::array<std::byte, guard_bytes + 1> bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = std::byte(i % 2 == 0 ? 0xfe : 0xff);
  return bytes;
}();
const std::byte* guard_at(const std::byte* at) {
  return guard_pattern.data() + reinterpret_cast<std::uintptr_t>(at) % 2;
}

void set_guard(std::byte* begin, std::byte* end) {
  if (address_sanitizer) return forbid(begin, static_cast<std::size_t>(end - begin));
  while (begin < end) {
    const auto bytes = std::min(guard_bytes, static_cast<std::size_t>(end - begin));
    std::memcpy(begin, guard_at(begin), bytes);
    begin += bytes;
  }
}

/// The first byte of a guard that was changed, at most 256 bytes long; null where none was. The guard is made good.
const std::byte* take_change(std::byte* begin, std::byte* end) {
  const auto bytes = static_cast<std::size_t>(end - begin);
  if (std::memcmp(begin, guard_at(begin), bytes) == 0) return nullptr;
  const std::byte* changed = std::mismatch(begin, end, guard_at(begin)).first;
  set_guard(begin, end);
  return changed;
}

std::byte* aligned(std::size_t bytes) {
  void* address = nullptr;
  return posix_memalign(&address, 256, bytes) == 0 ? static_cast<std::byte*>(address) : nullptr;
}

/// The bytes next to a claimed part that nobody has claimed: at most 256 on each side, to the next part or the end.
struct Slack {
  std::byte *before, *begin, *end, *after;
};
Slack slack_of(std::byte* base, const Allocation& a, std::map<std::byte*, std::size_t>::const_iterator part) {
  const auto& [begin, bytes] = *part;
  const auto next = std::next(part);
  std::byte* const lowest = part == a.parts.begin() ? base : std::prev(part)->first + std::prev(part)->second;
  std::byte* const highest = next == a.parts.end() ? base + a.bytes : next->first;
  const auto reach = static_cast<std::ptrdiff_t>(guard_bytes);
  return {begin - std::min(reach, begin - lowest), begin, begin + bytes,
          begin + bytes + std::min(reach, highest - (begin + bytes))};
}

/// The claimed part that holds `address`, its end included; parts.end() where none does.
std::map<std::byte*, std::size_t>::const_iterator part_at(const Allocation& a, const void* address) {
  auto* at = static_cast<std::byte*>(const_cast<void*>(address));
  auto next = a.parts.upper_bound(at);
  if (next == a.parts.begin()) return a.parts.end();
  --next;
  return at <= next->first + next->second ? next : a.parts.end();
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
  set_guard(base - guard_bytes, base);
  set_guard(base + bytes, base + bytes + guard_bytes);
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
  memory().statistics.pinned_bytes += bytes;
  return base;
}

bool free_pinned(void* address) {
  Memory& m = memory();
  const auto found = m.pinned.find(static_cast<std::byte*>(address));
  if (found == m.pinned.end()) return false;
  m.statistics.pinned_bytes -= found->second.bytes;
  --m.statistics.pinned_live;
  m.pinned.erase(found);
  std::free(address);
  return true;
}

void claim(void* address, std::size_t bytes) {
  const auto found = holder(memory().device, address);
  if (found == memory().device.end()) return;
  auto& [base, a] = *found;
  if (!a.in_parts) {
    a.in_parts = true;
    set_guard(base, base + a.bytes);
  }
  const auto part = a.parts.insert_or_assign(static_cast<std::byte*>(address), bytes).first;
  const Slack slack = slack_of(base, a, part);
  set_guard(slack.before, slack.begin);
  set_guard(slack.end, slack.after);
  allow(address, bytes);
  std::memset(address, 0xff, bytes);
}

void release(void* address, std::size_t bytes) {
  const auto found = holder(memory().device, address);
  if (found == memory().device.end()) return;
  auto* const at = static_cast<std::byte*>(address);
  found->second.parts.erase(at);
  set_guard(at, at + bytes);
}

std::span<const std::byte> span_at(const void* address) {
  Memory& m = memory();
  if (const auto found = holder(m.device, address); found != m.device.end()) {
    const auto& [base, a] = *found;
    if (!a.in_parts) return {base, a.bytes};
    const auto part = part_at(a, address);
    return part == a.parts.end() ? std::span<const std::byte>() : std::span<const std::byte>(part->first, part->second);
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
  const std::byte* changed = nullptr;
  const auto look = [&](std::byte* begin, std::byte* end) {
    if (const std::byte* const first = take_change(begin, end); changed == nullptr) changed = first;
  };
  if (const auto part = part_at(a, address); part != a.parts.end()) {
    const Slack slack = slack_of(base, a, part);
    look(slack.end, slack.after);
    look(slack.before, slack.begin);
  }
  look(base + a.bytes, base + a.bytes + guard_bytes);
  look(base - guard_bytes, base);
  if (changed == nullptr) return std::nullopt;
  return changed - base;
}

std::string describe_address(const void* address) {
  Memory& m = memory();
  const auto found = holder(m.device, address);
  if (found == m.device.end()) return "an address in no device allocation";
  const auto& [base, a] = *found;
  const auto offset = static_cast<const std::byte*>(address) - base;
  std::string text =
      "offset " + std::to_string(offset) + " of a device allocation of " + std::to_string(a.bytes) + " bytes";
  if (const auto part = part_at(a, address); part != a.parts.end()) {
    text += ", in use are " + std::to_string(part->second) + " from offset " + std::to_string(part->first - base);
  }
  return text;
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
