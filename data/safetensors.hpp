#pragma once
#include <filesystem>
#include <map>
#include <string>

#include "autograd/tensor.hpp"

namespace folio::data {

/// Tensors by name in Hugging Face's safetensors format: 8 bytes of little-endian header length, a JSON header, then packed
/// row-major data.
struct TensorFile {
  std::map<std::string, Tensor> tensors;
  std::map<std::string, std::string> metadata;
};

/// Writes the file whole or not at all (to a temporary file beside it, synced, then renamed). Tensors are ordered by
/// descending dtype width, then name, and metadata holds {"format": "pt"}. An Error names the file if it cannot be written.
void save_safetensors(const std::filesystem::path& path, const TensorFile& file);

/// Reads a file of tensors of any DType. Anything that does not add up (header too long, broken
/// JSON, a name twice, offsets that leave a hole, overlap or run backwards, a size that is not shape × dtype, bytes left
/// over) is an Error that names the file, the tensor and the reason.
TensorFile load_safetensors(const std::filesystem::path& path);

}  // namespace folio::data
