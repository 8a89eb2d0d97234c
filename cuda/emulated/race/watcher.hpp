#pragma once
#include <cstddef>
#include <cstdint>

#include "cuda/emulated/race/shadow.hpp"

namespace folio::cuda_emulated::race {

/// Makes the watcher the emulator's observer.
void install();

/// An access by a kernel's own code, from the instruction `code`. Locals and the program's constants are let be;
/// memory that is neither shared nor allocated on the device, and a conflict, are remembered for the block's end.
void watch(const void* address, std::size_t bytes, Kind kind, std::uintptr_t code);

}  // namespace folio::cuda_emulated::race
