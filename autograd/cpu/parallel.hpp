#pragma once
#include <cstdint>
#include <exception>

namespace folio::cpu {

namespace detail {

/// Keeps the first exception of tasks that other threads run.
class Failure {
 public:
  template <class Task>
  void guard(Task&& task, std::int64_t i) {
    try {
      task(i);
    } catch (...) {
#pragma omp critical(folio_parallel_failure)
      if (!first_) first_ = std::current_exception();
    }
  }
  void rethrow() const {
    if (first_) std::rethrow_exception(first_);
  }

 private:
  std::exception_ptr first_;
};

}  // namespace detail

/// Runs task(i) for i in [0, tasks). What a task computes must depend on i and on shapes only, never on the thread: then
/// any number of threads gives the same bits. The first exception is rethrown once all threads are done.
template <class Task>
void parallel_for(std::int64_t tasks, Task&& task) {
  if (tasks == 1) return task(std::int64_t{0});
  detail::Failure failure;
#pragma omp parallel for schedule(dynamic, 1)
  for (std::int64_t i = 0; i < tasks; ++i) failure.guard(task, i);
  failure.rethrow();
}

/// The same with a task on the same thread each time, which so finds in its core's cache what it read before; no thread that
/// is free earlier takes it over.
template <class Task>
void parallel_for_static(std::int64_t tasks, Task&& task) {
  if (tasks == 1) return task(std::int64_t{0});
  detail::Failure failure;
#pragma omp parallel for schedule(static, 1)
  for (std::int64_t i = 0; i < tasks; ++i) failure.guard(task, i);
  failure.rethrow();
}

/// Splits [0, n) into ranges of `grain` and runs task(begin, end) on each.
template <class Task>
void parallel_ranges(std::int64_t n, std::int64_t grain, Task&& task) {
  parallel_for((n + grain - 1) / grain, [&](std::int64_t i) {
    const std::int64_t begin = i * grain;
    task(begin, begin + grain < n ? begin + grain : n);
  });
}

}  // namespace folio::cpu
