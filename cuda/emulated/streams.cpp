#include "cuda/emulated/streams.hpp"

#include <algorithm>
#include <cstring>

#include "cuda/emulated/control.hpp"
#include "cuda/emulated/device_memory.hpp"
#include "cuda/emulated/order.hpp"
#include "cuda/emulated/sanitizer.hpp"

namespace folio::cuda_emulated {
namespace {

constexpr std::size_t most_pending = 1024;  // then issuing waits, as it does on a device

bool ready(const Task& task) {
  return std::all_of(task.after.begin(), task.after.end(), [](const Point& p) { return p.reached(); });
}

template <typename A, typename B>
bool overlap(std::span<A> a, std::span<B> b) {
  return !a.empty() && !b.empty() && a.data() < b.data() + b.size() && b.data() < a.data() + a.size();
}

std::map<std::string, std::int64_t>& waits() {
  static auto* const the = new std::map<std::string, std::int64_t>;
  return *the;
}

}  // namespace

void count_host_wait(const char* call) { ++waits()[call]; }

std::map<std::string, std::int64_t> host_waits() {
  const std::lock_guard lock(streams().mutex);
  return waits();
}

std::size_t pending_operations() {
  const std::scoped_lock lock(streams().mutex);
  return streams().pending();
}

void reset_host_waits() {
  const std::lock_guard lock(streams().mutex);
  waits().clear();
}

bool Point::reached() const { return stream == nullptr || stream->done >= count; }

Streams& streams() {
  static Streams* const the = new Streams;
  return *the;
}

Streams::Streams() { streams_.push_back(std::make_shared<Stream>()); }

cudaStream_t Streams::create(bool blocking) {
  auto& made = streams_.emplace_back(std::make_shared<Stream>());
  made->blocking = blocking;
  return made.get();
}

std::shared_ptr<Stream> Streams::find(cudaStream_t handle) const {
  if (handle == nullptr) return streams_.front();
  for (const auto& stream : streams_) {
    if (stream.get() == handle) return stream;
  }
  return nullptr;
}

void Streams::destroy(const std::shared_ptr<Stream>& stream) {
  run_until(end_of(stream));
  std::erase(streams_, stream);
}

cudaEvent_t Streams::create_event() {
  const auto handle = reinterpret_cast<cudaEvent_t>(++events_made_);
  events_.try_emplace(handle);
  return handle;
}

Event* Streams::find(cudaEvent_t handle) {
  const auto found = events_.find(handle);
  return found == events_.end() ? nullptr : &found->second;
}

void Streams::destroy(cudaEvent_t handle) { events_.erase(handle); }

void Streams::put(const std::shared_ptr<Stream>& stream, Task task) {
  const auto wait_for = [&](const std::shared_ptr<Stream>& other) {
    if (const Point end = end_of(other); !end.reached()) task.after.push_back(end);
  };
  const auto& default_stream = streams_.front();
  if (stream == default_stream) {
    for (const auto& other : streams_) {
      if (other != stream && other->blocking) wait_for(other);
    }
  } else if (stream->blocking) {
    wait_for(default_stream);
  }
  hide(task);
  task.ticket = ++tickets_;
  stream->queue.push_back(std::move(task));
  ++stream->issued;
  if (++pending_ > most_pending) {
    DeviceMemoryOpen open;
    run_front(*choose(end_of(stream)));
  }
}

/// Until an asynchronous copy to the host has run, its target holds nothing of use; a program that reads it too soon
/// sees that. Not where queued work still uses the target.
void Streams::hide(const Task& task) const {
  if (task.host_target.empty()) return;
  for (const auto& stream : streams_) {
    for (const Task& other : stream->queue) {
      if (overlap(other.host_source, task.host_target) || overlap(other.host_target, task.host_target)) return;
    }
  }
  std::memset(task.host_target.data(), 0xff, task.host_target.size());
  forbid(task.host_target.data(), task.host_target.size());
}

void Streams::run_until(const Point& goal) {
  if (goal.reached()) return;
  DeviceMemoryOpen open;
  while (!goal.reached()) run_front(*choose(goal));
}

void Streams::wait(const char* call, const Point& goal) {
  if (!goal.reached()) count_host_wait(call);
  run_until(goal);
}

void Streams::wait_for_all(const char* call) {
  if (pending_ > 0) count_host_wait(call);
  run_all();
}

void Streams::run_all() {
  const auto all = streams_;
  for (const auto& stream : all) run_until(end_of(stream));
}

void Streams::pass_time(const Point& goal) {
  if (goal.reached() || (is_random(schedule().order) && schedule().random.one_in(2))) return;
  DeviceMemoryOpen open;
  run_front(*choose(goal));
}

/// A stream whose first task can run now: in order, what the goal needs, so that nothing else is done before it must
/// be; reverse, the task that was issued last; random orders, any.
std::shared_ptr<Stream> Streams::choose(const Point& goal) {
  const Order order = schedule().order;
  if (order == Order::in_order) {
    auto stream = goal.stream;
    for (;;) {
      const auto& after = stream->queue.front().after;
      const auto missing = std::find_if(after.begin(), after.end(), [](const Point& p) { return !p.reached(); });
      if (missing == after.end()) return stream;
      stream = missing->stream;
    }
  }
  std::vector<std::shared_ptr<Stream>> candidates;
  for (const auto& stream : streams_) {
    if (!stream->queue.empty() && ready(stream->queue.front())) candidates.push_back(stream);
  }
  if (order == Order::reverse) {
    return *std::max_element(candidates.begin(), candidates.end(), [](const auto& a, const auto& b) {
      return a->queue.front().ticket < b->queue.front().ticket;
    });
  }
  return candidates[schedule().random.below(candidates.size())];
}

void Streams::run_front(Stream& stream) {
  const Task task = std::move(stream.queue.front());
  stream.queue.pop_front();
  --pending_;
  allow(task.host_target.data(), task.host_target.size());
  try {
    task.run();
  } catch (...) {
    ++stream.done;
    drop_all();
    throw;
  }
  ++stream.done;
}

void Streams::drop_all() {
  for (const auto& stream : streams_) {
    for (const Task& task : stream->queue) allow(task.host_target.data(), task.host_target.size());
    stream->queue.clear();
    stream->done = stream->issued;
  }
  pending_ = 0;
}

}  // namespace folio::cuda_emulated
