#include "data/prefetched_batches.hpp"

#include <utility>

namespace folio::data {
namespace {

Tensor tensor_of(const std::vector<std::int32_t>& tokens, const Batch& batch) {
  return from_indices(tokens, {batch.batch, batch.context});
}

}  // namespace

DeviceBatch to_device(const Batch& batch, Device device) {
  return {tensor_of(batch.inputs, batch).to(device), tensor_of(batch.targets, batch).to(device)};
}

PrefetchedBatches::Ahead PrefetchedBatches::set_out(std::int64_t step) const {
  const Batch batch = batches_[step];
  return {step, DeviceCopy(tensor_of(batch.inputs, batch), device_),
          DeviceCopy(tensor_of(batch.targets, batch), device_)};
}

DeviceBatch PrefetchedBatches::operator[](std::int64_t step) {
  Ahead now = ahead_.step == step ? std::move(ahead_) : set_out(step);
  DeviceBatch batch = {now.inputs.arrived(), now.targets.arrived()};
  ahead_ = set_out(step + 1);  // behind what the ops wait for, or they would wait for this too
  return batch;
}

}  // namespace folio::data
