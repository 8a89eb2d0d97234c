#include "cuda/emulated/race/watcher.hpp"

#include <link.h>

#include <algorithm>
#include <span>

#include "cuda/emulated/block.hpp"
#include "cuda/emulated/control.hpp"
#include "cuda/emulated/device_memory.hpp"
#include "cuda/emulated/observer.hpp"
#include "cuda/emulated/shared_memory.hpp"
#include "cuda/emulated/symbols.hpp"

namespace folio::cuda_emulated::race {
namespace {

struct Outside {
  const void* address = nullptr;
  std::size_t bytes = 0;
  Access now;
  Kind kind = Kind::read;
};

std::uintptr_t code_base() { return reinterpret_cast<std::uintptr_t>(&install); }
std::string line_of(const Access& a) { return source_line(code_base() + a.code - 1); }

/// Whether the address belongs to the program's or a library's own static data.
bool in_static_data(const void* address) {
  std::uintptr_t at = reinterpret_cast<std::uintptr_t>(address);
  return dl_iterate_phdr(
             [](dl_phdr_info* info, std::size_t, void* data) {
               for (int i = 0; i < info->dlpi_phnum; ++i) {
                 const auto& s = info->dlpi_phdr[i];
                 const std::uintptr_t offset = *static_cast<std::uintptr_t*>(data) - info->dlpi_addr - s.p_vaddr;
                 if (s.p_type == PT_LOAD && offset < s.p_memsz) return 1;
               }
               return 0;
             },
             &at) != 0;
}

class Watcher final : public Observer {
 public:
  void launch_begins() override {
    device_.forget();
    spans_ = {};
  }
  void block_begins(std::uint64_t number, int threads) override {
    clocks_.block_begins(static_cast<std::uint32_t>(number) + 1, threads);
    shared_.forget();
    conflict_.reset();
    outside_ = {};
  }
  void barrier() override { clocks_.barrier(); }
  void warp_barrier(int warp, std::uint32_t lanes) override { clocks_.warp_barrier(warp, lanes); }
  void atomic(const void* address, std::size_t bytes, std::uintptr_t code) override {
    watch(address, bytes, Kind::atomic, code);
  }

  void watch(const void* address, std::size_t bytes, Kind kind, std::uintptr_t code) {
    if (conflict_ || outside_.address != nullptr || on_fiber_stack(address) || is_argument(address)) return;
    const SharedPlace place = place_in_shared(address, bytes);
    if (place == SharedPlace::elsewhere && !on_device(address, bytes) && in_static_data(address)) return;
    const Access now = clocks_.stamp(block().current(), static_cast<std::int32_t>(code - code_base()));
    const bool inside = place == SharedPlace::inside || (place == SharedPlace::elsewhere && on_device(address, bytes));
    if (!inside) {
      outside_ = {address, bytes, now, kind};
      return;
    }
    Shadow& shadow = place == SharedPlace::inside ? shared_ : device_;
    conflict_ = shadow.access(reinterpret_cast<std::uintptr_t>(address), bytes, kind, now);
    if (conflict_) where_ = address;
  }

  std::optional<Finding> block_ends() override {
    if (outside_.address != nullptr) {
      const bool shared = place_in_shared(outside_.address, outside_.bytes) != SharedPlace::elsewhere;
      return Finding{
          false, block().place(outside_.now.thread) + ", " + line_of(outside_.now) + ": " + name_of(outside_.kind) +
                     " of " + std::to_string(outside_.bytes) + " bytes at " +
                     (shared ? "an address outside every array in shared memory" : describe_address(outside_.address))};
    }
    if (conflict_) return Finding{true, describe(*conflict_)};
    if (clocks_.overflowed())
      return Finding{true, block().place() + ": the race build counts 65,535 barriers, no more"};
    return std::nullopt;
  }

 private:
  static const char* name_of(Kind kind) {
    constexpr const char* names[] = {"read", "write", "atomic"};
    return names[static_cast<int>(kind)];
  }

  /// The launch's copy of the kernel's arguments, which each thread reads as it begins.
  static bool is_argument(const void* address) {
    const LaunchRequest& request = block().request();
    const auto* begin = static_cast<const std::byte*>(request.arguments.get());
    return address >= begin && address < begin + request.argument_bytes;
  }

  bool on_device(const void* address, std::size_t bytes) {
    const auto* at = static_cast<const std::byte*>(address);
    for (const auto& span : spans_) {
      if (at >= span.data() && at + bytes <= span.data() + span.size()) return true;
    }
    const auto span = span_at(address);
    if (span.empty() || at + bytes > span.data() + span.size()) return false;
    spans_[next_span_++ % spans_.size()] = span;
    return true;
  }

  std::string describe(const Conflict& c) const {
    const bool shared = place_in_shared(where_, 1) != SharedPlace::elsewhere;
    const std::string memory = shared ? "shared memory" : describe_address(where_);
    const std::string other =
        c.earlier.block == c.now.block
            ? "thread " + std::to_string(c.earlier.thread) + " of the block"
            : "thread " + std::to_string(c.earlier.thread) + " of block " + std::to_string(c.earlier.block - 1);
    return block().place(c.now.thread) + ", " + line_of(c.now) + ": race: " + name_of(c.kind) + " of " + memory +
           " and, with no order between them, " + name_of(c.earlier_kind) + " by " + other + " at " +
           line_of(c.earlier);
  }

  Clocks clocks_;
  Shadow device_{clocks_}, shared_{clocks_};
  std::optional<Conflict> conflict_;
  const void* where_ = nullptr;
  Outside outside_;
  std::array<std::span<const std::byte>, 8> spans_{};
  std::size_t next_span_ = 0;
};

Watcher* watcher = nullptr;

}  // namespace

void install() {
  if (watcher == nullptr) observer = watcher = new Watcher;
}

void watch(const void* address, std::size_t bytes, Kind kind, std::uintptr_t code) {
  if (!in_kernel_code) return;
  EmulatorAtWork at_work;
  watcher->watch(address, bytes, kind, code);
}

}  // namespace folio::cuda_emulated::race
