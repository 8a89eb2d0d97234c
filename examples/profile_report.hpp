#pragma once
#include <cstdint>
#include <filesystem>
#include <string>

#include "autograd/profile.hpp"

namespace folio::examples {

/// What `train --profile` prints of `steps` steps: a line per op, longest first, with time, calls and rate of the way
/// there and back and its share of the step; kernels that no op called; the rest, outside both; and the sections.
/// A rate is GFLOP/s where the op multiplies matrices, else GB/s.
std::string profile_table(const Profile& profile, std::int64_t steps);

/// Writes the spans as JSON in the Trace Event Format, which ui.perfetto.dev and chrome://tracing open. An Error if the
/// file cannot be written.
void save_trace(const Profile& profile, const std::filesystem::path& path);

}  // namespace folio::examples
