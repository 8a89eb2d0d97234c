#include "cuda/emulated/fiber.hpp"

#include <sys/mman.h>

#include <boost/context/preallocated.hpp>
#include <cstdint>
#include <memory>

#include "autograd/error.hpp"

namespace folio::cuda_emulated {

Running running{&host_fiber(), nullptr};

namespace {

constexpr std::size_t guard_bytes = 4096;
constexpr std::size_t slot_bytes = guard_bytes + stack_bytes;

struct StackMemory {
  void deallocate(boost::context::stack_context&) noexcept {}  // stacks live as long as the program
};

/// One reservation for all stacks, each above a page that faults; never unmapped, since fibers outlive static objects.
std::byte* reservation() {
  static std::byte* const base = [] {
    void* address =
        mmap(nullptr, max_fibers * slot_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    require(address != MAP_FAILED, [] { return "emulator: no address space for 1024 stacks; raise `ulimit -v`"; });
    return static_cast<std::byte*>(address);
  }();
  return base;
}

Fiber* fibers[max_fibers] = {};

Fiber* make_fiber(int index, void (*body)()) {
  std::byte* bottom = reservation() + index * slot_bytes + guard_bytes;
  require(mprotect(bottom, stack_bytes, PROT_READ | PROT_WRITE) == 0,
          [] { return "emulator: no memory for a thread's stack"; });
  // Stacks start at one offset of a page otherwise, and their frames would fight for the same lines of the cache.
  const std::size_t bytes = stack_bytes - 64 * (index % 64);
  boost::context::stack_context context;
  context.sp = bottom + bytes;
  context.size = bytes;
  auto made = std::make_unique<Fiber>();
  made->bottom = bottom;
  made->bytes = bytes;
  made->suspended = boost::context::fiber(std::allocator_arg, boost::context::preallocated(context.sp, bytes, context),
                                          StackMemory{}, [body](boost::context::fiber&& from) {
                                            entered_stack(nullptr, &running.before->bottom, &running.before->bytes);
                                            running.before->suspended = std::move(from);
                                            body();
                                            return boost::context::fiber{};
                                          });
  return made.release();
}

}  // namespace

Fiber& host_fiber() {
  static Fiber* const host = new Fiber;
  return *host;
}

Fiber& fiber(int index, void (*body)()) {
  if (fibers[index] == nullptr) {
    fibers[index] = make_fiber(index, body);
  }
  return *fibers[index];
}

bool on_fiber_stack(const void* address) {
  const auto offset = reinterpret_cast<std::uintptr_t>(address) - reinterpret_cast<std::uintptr_t>(reservation());
  return offset < max_fibers * slot_bytes;
}

}  // namespace folio::cuda_emulated
