#pragma once
#include <cstdint>
#include <map>
#include <string>

/// What was launched on each backend since reset_launch_counts(), and how often: kernels by their names with template
/// arguments, cuBLAS's products by the names of its functions.
namespace folio::cuda {
std::map<std::string, std::int64_t> launch_counts();
void reset_launch_counts();
}  // namespace folio::cuda

namespace folio::cuda_emulated {
std::map<std::string, std::int64_t> launch_counts();
void reset_launch_counts();
}  // namespace folio::cuda_emulated
