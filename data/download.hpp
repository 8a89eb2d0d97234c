#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace folio::data {

/// A file of the public network, pinned: what it must hold is known before it is asked for.
struct PinnedFile {
  std::string address;       ///< https:// (or file://)
  std::string sha256;        ///< 64 lower-case hexadecimal digits
  std::uintmax_t bytes = 0;  ///< its size
};

/// Whether this build downloads (it was built with libcurl and OpenSSL).
bool can_download();

/// Error, one line that begins with `place`, unless `contents` is what `file` pins. In a build without OpenSSL only the
/// size is compared.
void verify(std::string_view contents, const PinnedFile& file, const std::string& place);

/// Fetches `file` into a temporary file beside `target`, verifies it, and only then renames it to `target`, so that
/// `target` never holds a part of it. Makes the folder of `target`. Waits at most 5 s for a connection and gives up
/// where less than 1 kB/s comes for 10 s. Error, one line that begins with the address: no network, another size or
/// sha256, a folder that cannot be written, a build without libcurl. After an error nothing of this call is left on the
/// disk.
void download(const PinnedFile& file, const std::filesystem::path& target);

}  // namespace folio::data
