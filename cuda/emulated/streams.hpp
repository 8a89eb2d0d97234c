#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <unordered_map>
#include <vector>

#include "cuda/emulated/api.hpp"

namespace folio::cuda_emulated {

/// "All that was put on this stream before number `count`."
struct Point {
  std::shared_ptr<Stream> stream{};
  std::uint64_t count = 0;
  bool reached() const;
};

struct Task {
  std::function<void()> run{};
  std::vector<Point> after{};
  std::span<const std::byte> host_source{};
  std::span<std::byte>
      host_target{};  ///< holds 0xff until the task has run; under AddressSanitizer it is out of bounds
  std::uint64_t ticket = 0;
};

/// First in, first out. Nothing runs when it is issued: only when the program waits for something, and then perhaps
/// more than it waits for, in an order between streams that the current Order chooses.
struct Stream {
  std::deque<Task> queue;
  std::uint64_t issued = 0, done = 0;
  bool blocking = true;
};

struct Event {
  Point point;                      ///< null stream: never recorded
  std::shared_ptr<double> seconds;  ///< the time at which the record ran
};

/// All streams and events of the device. One mutex serves every call of the runtime.
class Streams {
 public:
  std::recursive_mutex mutex;

  Streams();
  cudaStream_t create(bool blocking);
  /// The stream behind a handle; null where it was never made or is gone.
  std::shared_ptr<Stream> find(cudaStream_t handle) const;
  void destroy(const std::shared_ptr<Stream>& stream);

  /// A handle that no other event has had.
  cudaEvent_t create_event();
  /// The event behind a handle; null where it was never made or is gone.
  Event* find(cudaEvent_t handle);
  void destroy(cudaEvent_t handle);

  void put(const std::shared_ptr<Stream>& stream, Task task);
  Point end_of(const std::shared_ptr<Stream>& stream) const { return {stream, stream->issued}; }
  /// A call of the program waits for the point: counted where it is not reached yet.
  void wait(const char* call, const Point& goal);
  void wait_for_all(const char* call);
  /// Runs until the point is reached. An exception from a task drops all that is still queued, on every stream.
  void run_until(const Point& goal);
  void run_all();
  std::size_t pending() const { return pending_; }
  /// Some work may be done in the meantime: what a program that polls sees.
  void pass_time(const Point& goal);

 private:
  std::shared_ptr<Stream> choose(const Point& goal);
  void run_front(Stream& stream);
  void drop_all();
  void hide(const Task& task) const;

  std::vector<std::shared_ptr<Stream>> streams_;   // the default stream first
  std::unordered_map<cudaEvent_t, Event> events_;  // by handle: a number
  std::uint64_t tickets_ = 0, events_made_ = 0;
  std::size_t pending_ = 0;
};

Streams& streams();

/// See host_waits() of control.hpp.
void count_host_wait(const char* call);

}  // namespace folio::cuda_emulated
