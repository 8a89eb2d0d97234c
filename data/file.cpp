#include "data/file.hpp"

#include <array>
#include <fstream>

#include "autograd/error.hpp"

namespace folio::data {

std::string read_file(const std::filesystem::path& path) {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::file_type type = fs::status(path, error).type();
  const auto demand = [&](bool holds, const char* reason) {
    require(holds, [&] { return path.string() + ": " + reason; });
  };
  demand(type != fs::file_type::not_found, "not there");
  demand(type != fs::file_type::directory, "a folder, not a file");
  std::ifstream in(path, std::ios::binary);
  demand(in.is_open(), "cannot be read");
  std::string contents;
  std::array<char, 65536> part{};
  while (in.read(part.data(), part.size()), in.gcount() > 0) {
    contents.append(part.data(), static_cast<std::size_t>(in.gcount()));
  }
  demand(!in.bad(), "cannot be read");
  demand(!contents.empty(), "empty");
  return contents;
}

}  // namespace folio::data
