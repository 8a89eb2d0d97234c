#include "cuda/emulated/block.hpp"

#include <algorithm>

#include "cuda/emulated/barrier_sites.hpp"
#include "cuda/emulated/control.hpp"
#include "cuda/emulated/observer.hpp"
#include "cuda/emulated/shared_memory.hpp"
#include "cuda/emulated/text.hpp"

namespace folio::cuda_emulated {

uint3 threadIdx{}, blockIdx{};
dim3 blockDim, gridDim;
bool in_kernel_code = false;
Observer* observer = nullptr;

Block* const the_block = new Block;  // never destroyed: its fibers stay suspended to the end

bool race_build() { return observer != nullptr; }

int wait_for_block(Vote vote, bool predicate, std::source_location where) {
  return block().wait_for_block(vote, predicate, where);
}

void Block::run(const LaunchRequest& request, const std::string& kernel_name) {
  request_ = &request;
  kernel_name_ = kernel_name;
  struct Done {
    Block& block;
    ~Done() { block.request_ = nullptr; }
  } done{*this};
  blockDim = request.block;
  gridDim = request.grid;
  threads_ = static_cast<int>(request.block.count());
  for (int i = 0; i < threads_; ++i) {
    const unsigned u = i, x = request.block.x, y = request.block.y;
    lanes_[i].index = {u % x, u / x % y, u / (x * y)};
  }
  for (int warp = 0; warp < 32; ++warp) {
    const int lanes = std::clamp(threads_ - 32 * warp, 0, 32);
    lanes_there_[warp] = lanes == 32 ? ~0u : (1u << lanes) - 1;
  }
  if (observer != nullptr) observer->launch_begins();
  const std::uint64_t blocks = request.grid.count();
  const BlockWalk walk(blocks);
  for (std::uint64_t step = 0; step < blocks; ++step) run_block(walk[step]);
}

void Block::run_block(std::uint64_t number) {
  const std::uint64_t x = request_->grid.x, y = request_->grid.y;
  blockIdx = {static_cast<unsigned>(number % x), static_cast<unsigned>(number / x % y),
              static_cast<unsigned>(number / (x * y))};
  for (int i = 0; i < threads_; ++i) lanes_[i].fiber = nullptr;
  for (auto& meetings : meetings_) meetings.clear();
  lanes_exited_ = lanes_at_barrier_ = {};
  at_barrier_ = exited_ = predicates_ = 0;
  error_ = nullptr;
  begin_shared_memory(*request_);
  if (observer != nullptr) observer->block_begins(number, threads_);

  runnable_.reset(threads_);
  transfer(runnable_.pick());  // comes back when every thread has ended

  current_ = 0;
  if (observer != nullptr) {
    if (const auto found = observer->block_ends(); found && !error_) {
      const FaultKind kind = found->race ? FaultKind::race : FaultKind::memory;
      error_ = std::make_exception_ptr(Fault(kind, found->message));
    }
  }
  end_shared_memory();
  if (error_) std::rethrow_exception(error_);
}

void Block::fiber_body() {
  for (;;) block().run_threads();
}

void Block::run_threads() {
  Fiber& self = *running.now;
  for (;;) {
    const int thread = starting_;
    lanes_[thread].fiber = &self;
    make_current(thread);
    std::exception_ptr error;
    try {
      in_kernel_code = true;
      request_->run_thread(request_->arguments.get());
      in_kernel_code = false;
      check_not_awaited_by_warp("returned");
      if (at_barrier_ > 0) {
        fail(FaultKind::barrier, barrier_where_, "divergent barrier: the thread returned while " + who_waits());
      }
    } catch (const Unwind&) {
    } catch (const Fault&) {
      error = std::current_exception();
    } catch (const std::exception& e) {
      error = std::make_exception_ptr(Fault(FaultKind::exception, place() + ": exception: " + e.what()));
    }
    in_kernel_code = false;
    if (error) stop(std::move(error));  // not kept here: this stack goes to sleep
    leave(thread);

    const int next = next_thread();
    if (next >= 0 && lanes_[next].fiber == nullptr) {
      starting_ = next;  // on this very stack
      continue;
    }
    idle_.push_back(&self);
    if (next >= 0) {
      make_current(next);
      switch_to(*lanes_[next].fiber);
    } else {
      switch_to(host_fiber());
    }
  }
}

void Block::leave(int thread) {
  ++exited_;
  lanes_exited_[thread / 32] |= 1u << thread % 32;
  lanes_[thread].fiber = nullptr;
  if (!error_) runnable_.remove(thread);
}

/// The thread to go on with: after a fault, each that is suspended, so that it unwinds; -1 at the end.
int Block::next_thread() {
  if (!error_) {
    const int next = runnable_.pick();
    if (next >= 0 || exited_ == threads_) return next;
    stop(std::make_exception_ptr(Fault(FaultKind::barrier, place() + ": deadlock: " + who_waits())));
  }
  for (int i = 0; i < threads_; ++i) {
    if (lanes_[i].fiber != nullptr) return i;
  }
  return -1;
}

void Block::stop(std::exception_ptr error) {
  if (!error_) error_ = std::move(error);
}

Fiber& Block::free_stack() {
  if (idle_.empty()) return fiber(fibers_made_++, &fiber_body);
  Fiber& stack = *idle_.back();
  idle_.pop_back();
  return stack;
}

void Block::preempt() {
  Schedule& s = schedule();
  if (is_random(s.order) && s.random.one_in(4)) suspend();
}

int Block::wait_for_block(Vote vote, bool predicate, std::source_location where) {
  EmulatorAtWork at_work;
  require(active(), [] { return "__syncthreads outside a kernel"; });
  if (!barrier_stands(where)) return vote == Vote::none ? 0 : predicate;
  if (exited_ > 0) {
    fail(FaultKind::barrier, where,
         "divergent barrier: " + std::to_string(exited_) + " threads of the block have returned");
  }
  check_not_awaited_by_warp("came to a barrier of the block");
  if (at_barrier_ > 0 && !same_place(barrier_where_, where)) {
    fail(FaultKind::barrier, where, "divergent barrier: " + who_waits());
  }
  barrier_where_ = where;
  predicates_ += predicate;
  lanes_at_barrier_[current_ / 32] |= 1u << current_ % 32;
  runnable_.remove(current_);
  if (++at_barrier_ == threads_) release_barrier();
  suspend();
  switch (vote) {
    case Vote::any: return barrier_result_ > 0;
    case Vote::all: return barrier_result_ == threads_;
    default: return barrier_result_;
  }
}

void Block::release_barrier() {
  note_barrier(barrier_where_);
  if (observer != nullptr) observer->barrier();
  barrier_result_ = predicates_;
  at_barrier_ = predicates_ = 0;
  lanes_at_barrier_ = {};
  runnable_.reset(threads_);
}

std::string Block::place(int thread) const {
  return "kernel " + kernel_name_ + ", block " + triple(blockIdx) + ", thread " + triple(lanes_[thread].index);
}

std::string Block::who_waits() const {
  std::string text;
  const auto add = [&](const std::string& what) { text += (text.empty() ? "" : ", ") + what; };
  if (at_barrier_ > 0) add(std::to_string(at_barrier_) + " threads wait at " + place_of(barrier_where_));
  for (const auto& meetings : meetings_) {
    for (const WarpMeeting& m : meetings) {
      add(std::to_string(std::popcount(m.arrived)) + " lanes wait at " + place_of(m.where) +
          " for the lanes of a mask");
    }
  }
  if (exited_ > 0) add(std::to_string(exited_) + " have returned");
  return text;
}

void Block::fail(FaultKind kind, std::source_location where, const std::string& what) const {
  throw Fault(kind, place() + ", " + place_of(where) + ": " + what);
}

}  // namespace folio::cuda_emulated
