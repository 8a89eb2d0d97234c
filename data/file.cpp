#include "data/file.hpp"

#include <array>
#include <fstream>

#include "autograd/error.hpp"

namespace folio::data {

namespace fs = std::filesystem;

namespace {

void demand(bool holds, const fs::path& path, const char* reason) {
  require(holds, [&] { return (path.empty() ? "''" : path.string()) + ": " + reason; });
}

}  // namespace

void require_regular_file(const fs::path& path) {
  std::error_code error;
  const fs::file_type type = fs::status(path, error).type();
  demand(type != fs::file_type::not_found, path, "not there");
  demand(type != fs::file_type::directory, path, "a folder, not a file");
  demand(type != fs::file_type::none, path, "cannot be read");
  demand(type == fs::file_type::regular, path, "a pipe, a socket or a device, not a file");
}

std::string read_file(const fs::path& path) {
  require_regular_file(path);
  std::ifstream in(path, std::ios::binary);
  demand(in.is_open(), path, "cannot be read");
  std::string contents;
  std::error_code unknown;
  if (const auto size = fs::file_size(path, unknown); !unknown) contents.reserve(size);  // or std::bad_alloc at once
  std::array<char, 65536> part{};
  while (in.read(part.data(), part.size()), in.gcount() > 0) {
    contents.append(part.data(), static_cast<std::size_t>(in.gcount()));
  }
  demand(!in.bad(), path, "cannot be read");
  demand(!contents.empty(), path, "empty");
  return contents;
}

}  // namespace folio::data
