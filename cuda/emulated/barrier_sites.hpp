#pragma once
#include <source_location>

namespace folio::cuda_emulated {

/// False where a test has deleted the barrier at this place (control.hpp).
bool barrier_stands(std::source_location where);

/// A barrier that all its threads have reached.
void note_barrier(std::source_location where);

}  // namespace folio::cuda_emulated
