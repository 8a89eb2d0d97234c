#pragma once
#include <boost/context/fiber.hpp>
#include <cstddef>
#include <utility>

#include "cuda/emulated/sanitizer.hpp"

namespace folio::cuda_emulated {

inline constexpr int max_fibers = 1024;  ///< threads of the largest block
inline constexpr std::size_t stack_bytes = (address_sanitizer ? 256 : 64) * std::size_t{1024};

/// A stack on which threads of a block run, one after another, kept from block to block and launch to launch.
struct Fiber {
  boost::context::fiber suspended;  ///< where it goes on; empty while it runs
  const void* bottom = nullptr;
  std::size_t bytes = 0;
  void* sanitizer_frames = nullptr;
};

/// The stack of the program that called; it runs when no fiber does.
Fiber& host_fiber();

/// The fiber that runs, and the one that ran before it.
struct Running {
  Fiber* now = nullptr;
  Fiber* before = nullptr;
};
extern Running running;

/// Stack number `index`, made on first use; it runs `body`, which must never return.
Fiber& fiber(int index, void (*body)());

/// Leaves the running stack for `next`; returns when someone switches back. In line with its caller, as all are on
/// the way to it: on another stack a processor guesses every `ret` wrong, so there should be few.
[[gnu::always_inline]] inline void switch_to(Fiber& next) {
  Fiber& self = *running.now;
  running = {&next, &self};
  leaving_stack(&self.sanitizer_frames, next.bottom, next.bytes);
  boost::context::fiber from = std::move(next.suspended).resume();
  entered_stack(self.sanitizer_frames, &running.before->bottom, &running.before->bytes);
  running.before->suspended = std::move(from);
}

/// Whether the address lies in some fiber's stack: a thread's own locals.
bool on_fiber_stack(const void* address);

}  // namespace folio::cuda_emulated
