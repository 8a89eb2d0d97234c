#pragma once
#include "autograd/device_copy.hpp"
#include "data/batches.hpp"

namespace folio::data {

/// A batch as tensors on a device.
struct DeviceBatch {
  Tensor inputs;   // (B, T) int32
  Tensor targets;  // (B, T) int32
};

DeviceBatch to_device(const Batch& batch, Device device);

/// Batches on a device, one ahead: while ops compute with a batch, the next one is drawn and travels to a GPU beside them.
/// They are those of RandomBatches, whatever steps are asked for, so that a run resumes anywhere; asked for in order, none
/// is waited for.
class PrefetchedBatches {
 public:
  PrefetchedBatches(const RandomBatches& batches, Device device) : batches_(batches), device_(device) {}

  /// The batch of `step` ≥ 0; that of step + 1 sets out.
  DeviceBatch operator[](std::int64_t step);

 private:
  struct Ahead {
    std::int64_t step = -1;
    DeviceCopy inputs, targets;
  };
  Ahead set_out(std::int64_t step) const;

  RandomBatches batches_;
  Device device_;
  Ahead ahead_;
};

}  // namespace folio::data
