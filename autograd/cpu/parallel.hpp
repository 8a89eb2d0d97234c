#pragma once
#include <cstdint>
#include <exception>

namespace folio::cpu {

/// Runs task(i) for i in [0, tasks). What a task computes must depend on i and on shapes only, never on the thread: then
/// any number of threads gives the same bits. The first exception is rethrown once all threads are done.
template <class Task>
void parallel_for(std::int64_t tasks, Task&& task) {
  if (tasks == 1) return task(std::int64_t{0});
  std::exception_ptr failure;
#pragma omp parallel for schedule(dynamic, 1)
  for (std::int64_t i = 0; i < tasks; ++i) {
    try {
      task(i);
    } catch (...) {
#pragma omp critical(folio_parallel_failure)
      if (!failure) failure = std::current_exception();
    }
  }
  if (failure) std::rethrow_exception(failure);
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
