#pragma once
#include <filesystem>
#include <string>

namespace folio::data {

/// Error, one line that begins with the path, unless it is a regular file: not there, a folder, or a pipe, a socket or a
/// device, which may never end, nor even open.
void require_regular_file(const std::filesystem::path& path);

/// The whole contents of a regular file. Error, one line that begins with the path: no such file, unreadable, empty.
std::string read_file(const std::filesystem::path& path);

}  // namespace folio::data
