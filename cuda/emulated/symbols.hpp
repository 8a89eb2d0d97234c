#pragma once
#include <cstdint>
#include <string>

namespace folio::cuda_emulated {

/// "softmax<float, 4>" for the address of a kernel, from the program's symbol table; "kernel at program+0x1234" where
/// the table was stripped. Remembered.
const std::string& kernel_name(std::uintptr_t address);

/// "file:line" of an instruction in a kernel, from its debug lines (through addr2line); "program+0x1234" without.
std::string source_line(std::uintptr_t code);

}  // namespace folio::cuda_emulated
