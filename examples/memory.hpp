#pragma once
#include <filesystem>

#include "examples/presets.hpp"

namespace folio::examples {

/// Bytes that a run holds for certain, in float32: weights, gradients and AdamW's two moments, of which Muon has one for its
/// matrices, and the weights' average where there is one; logits and their gradient; and, of what the tape saves in each
/// layer, the residual stream, its norms and the chosen experts' activations. A run takes more; none takes less.
struct MemoryEstimate {
  double model = 0;       ///< whatever the batch
  double per_window = 0;  ///< times the windows of a micro-batch

  double of(std::int64_t batch) const { return model + per_window * static_cast<double>(batch); }
};
MemoryEstimate estimated_memory(const Preset& preset);

/// Bytes that this program may have: MemAvailable of Linux, or the machine's memory where that is not told, but no more
/// than its control groups (a container's limit, version 2) leave. `root` stands for / in tests.
double available_memory(const std::filesystem::path& root = "/");

/// An Error that says the estimate and the largest batch that might fit, where a run cannot fit into `available` bytes.
void require_memory(const Preset& preset, double available);

}  // namespace folio::examples
