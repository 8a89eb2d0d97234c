#pragma once
#include <array>
#include <cstdint>
#include <exception>
#include <source_location>
#include <string>
#include <vector>

#include "cuda/emulated/fiber.hpp"
#include "cuda/emulated/launch.hpp"
#include "cuda/emulated/order.hpp"
#include "cuda/emulated/threads.hpp"

namespace folio::cuda_emulated {

/// A shuffle, vote or __syncwarp that some lanes have reached and others have not.
struct WarpMeeting {
  WarpCall call;
  std::uint32_t mask = 0, needed = 0, arrived = 0;
  unsigned argument[32];
  int width = 32;
  std::source_location where;
};

/// One thread of the block.
struct Lane {
  uint3 index;
  Fiber* fiber = nullptr;   ///< where it is suspended; null before its first step
  std::uint64_t value = 0;  ///< what it brought to its warp's meeting, then what it takes away
};

/// The block that runs now. Threads of a block are fibers on one processor thread: a thread runs until it waits
/// (barrier, warp call), until a random order takes it off at an atomic, or to its end; then the order in force picks
/// the next. A thread that ends hands its stack on to the next that begins, so that a kernel with no barrier runs
/// on one stack without a single switch.
///
/// Measured at -O3 on one Zen 5 core, blocks of 256 threads, in order: 2.8 µs for a block with no barrier, 13 with one,
/// 77 with ten (30 ns a switch); the random orders take twice as long. Kernels: element-wise 90 million threads/s,
/// a row's sum 3.6, its softmax 1.8. tests/cuda/emulator/speed.cpp prints the table.
class Block {
 public:
  /// Runs every block of a launch. Throws the first Fault; the launch stops with the block that had it.
  void run(const LaunchRequest& request, const std::string& kernel_name);

  int wait_for_block(Vote vote, bool predicate, std::source_location where);
  std::uint64_t wait_for_warp(WarpCall call, unsigned mask, std::uint64_t value, unsigned argument, int width,
                              std::source_location where);
  /// Under the random orders, sometimes lets another thread run first.
  void preempt();

  bool active() const { return request_ != nullptr; }
  int current() const { return current_; }
  int threads() const { return threads_; }
  const LaunchRequest& request() const { return *request_; }
  uint3 index_of(int thread) const { return lanes_[thread].index; }
  /// "kernel k<float>, block (1,0,0), thread (5,0,0)"
  std::string place(int thread) const;
  std::string place() const { return place(current_); }
  [[noreturn]] void fail(FaultKind kind, std::source_location where, const std::string& what) const;

 private:
  struct Unwind {};  // leaves the kernel of a thread whose block has failed

  void run_block(std::uint64_t number);
  static void fiber_body();
  void run_threads();
  void leave(int thread);
  [[gnu::always_inline]] void suspend();
  [[gnu::always_inline]] void transfer(int next);
  void make_current(int thread) {
    current_ = thread;
    threadIdx = lanes_[thread].index;
  }
  Fiber& free_stack();
  int next_thread();
  void release_barrier();
  void stop(std::exception_ptr error);
  std::string who_waits() const;

  WarpMeeting& meeting_for(WarpCall call, unsigned mask, int width, std::source_location where);
  void finish(WarpMeeting& meeting, int warp);
  int source_lane(const WarpMeeting& meeting, int lane) const;
  void check_not_awaited_by_warp(const char* does) const;

  const LaunchRequest* request_ = nullptr;
  std::string kernel_name_;
  int threads_ = 0, current_ = -1, starting_ = -1;
  std::array<Lane, 1024> lanes_;
  std::array<std::vector<WarpMeeting>, 32> meetings_;
  std::array<std::uint32_t, 32> lanes_there_{}, lanes_exited_{}, lanes_at_barrier_{};
  Runnable runnable_;

  int at_barrier_ = 0, exited_ = 0, predicates_ = 0, barrier_result_ = 0;
  std::source_location barrier_where_;

  std::vector<Fiber*> idle_;
  int fibers_made_ = 0;
  std::exception_ptr error_;
};

extern Block* const the_block;
inline Block& block() { return *the_block; }

inline void Block::transfer(int next) {
  if (lanes_[next].fiber != nullptr) {
    make_current(next);
    switch_to(*lanes_[next].fiber);
  } else {
    starting_ = next;
    switch_to(free_stack());
  }
}

inline void Block::suspend() {
  const int next = runnable_.pick();
  if (next == current_) return;
  if (next < 0) fail(FaultKind::barrier, request_->where, "deadlock: " + who_waits());
  transfer(next);
  if (error_) throw Unwind{};
}

}  // namespace folio::cuda_emulated
