#pragma once
/// The two CUDA backends, as programs enable them. The same kernels serve both.

namespace folio::cuda {
/// Makes Device::cuda usable; an Error where there is no GPU. Link folio::cuda.
void enable();
}  // namespace folio::cuda

namespace folio::cuda_emulated {
/// Makes Device::cuda_emulated usable: a GPU that the CPU plays. Link folio::cuda_emulated.
void enable();
}  // namespace folio::cuda_emulated
