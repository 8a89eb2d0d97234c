#pragma once
#include <string>

#include "autograd/storage.hpp"

namespace folio::examples {

/// The device of that name ("cpu", "cuda", "cuda-emulated"), ready for use; an Error that says what there is instead.
Device chosen_device(const std::string& name);

/// For --help.
constexpr const char* device_help = "cpu, cuda (a GPU), or cuda-emulated (the same kernels, slowly, on the CPU)";

}  // namespace folio::examples
