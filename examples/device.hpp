#pragma once
#include <optional>
#include <string>

#include "autograd/storage.hpp"

namespace folio::examples {

/// The device of that name ("cpu", "cuda", "cuda-emulated"), ready for use; an Error that says what there is instead.
Device chosen_device(const std::string& name);

/// Sets who multiplies matrices there: `gemm` is a provider of the CPU's, `tf32` for a GPU and on for device cuda if
/// not given. An Error where the device's products are by another.
void choose_products(Device device, const std::optional<std::string>& gemm, std::optional<bool> tf32);

/// For --help.
constexpr const char* device_help = "cpu, cuda (a GPU), or cuda-emulated (the same kernels, slowly, on the CPU)";

}  // namespace folio::examples
