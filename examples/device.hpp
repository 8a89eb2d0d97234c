#pragma once
#include <optional>
#include <string>

#include "autograd/storage.hpp"

namespace folio::examples {

/// The device of that name ("cpu", "cuda", "cuda-emulated"), ready for use, and who multiplies matrices there set: `gemm`
/// is a provider of the CPU's, `tf32` for a GPU and on for device cuda if not given. An Error that says what there is
/// instead, or that the device's products are by another.
Device chosen_device(const std::string& name, const std::optional<std::string>& gemm, std::optional<bool> tf32);

/// For --help.
constexpr const char* device_help = "cpu, cuda (a GPU), or cuda-emulated (the same kernels, slowly, on the CPU)";

}  // namespace folio::examples
