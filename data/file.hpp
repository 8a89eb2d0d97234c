#pragma once
#include <filesystem>
#include <string>

namespace folio::data {

/// The whole contents of a file. Error, one line that begins with the path: not there, a folder, unreadable, empty.
std::string read_file(const std::filesystem::path& path);

}  // namespace folio::data
