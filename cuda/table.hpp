#pragma once
/// Many tensors in one launch: a table in device memory with a row for each says which tasks (blocks or warps) are whose.
#include <vector>

#include "cuda/memory.hpp"

namespace folio::FOLIO_CUDA {

/// Rows of a plain type whose `first` is the number of the row's first task. They travel through pinned memory, so that
/// the host waits for nothing.
template <typename Row>
class Table {
 public:
  Table(const std::vector<Row>& rows, Device device)
      : memory_(empty({blocks_for(static_cast<std::int64_t>(rows.size() * sizeof(Row)), 8)}, {DType::int64, device})),
        count_(static_cast<int>(rows.size())) {
    static_assert(alignof(Row) <= 8);
    copy_from_host(memory_.storage()->data(), reinterpret_cast<const std::byte*>(rows.data()),
                   rows.size() * sizeof(Row));
  }
  const Row* rows() const { return reinterpret_cast<const Row*>(memory_.storage()->data()); }
  int count() const { return count_; }

 private:
  Tensor memory_;
  int count_;
};

/// The row that a task belongs to: the last of those that begin at it or before, which passes over rows without tasks.
template <typename Row>
__device__ const Row& row_of_task(const Row* rows, int count, std::int64_t task) {
  int low = 0, high = count;
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    if (rows[middle].first <= task) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return rows[low];
}

}  // namespace folio::FOLIO_CUDA
