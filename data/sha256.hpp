#pragma once
#include <string>
#include <string_view>

namespace folio::data {

/// Whether this build can compute sha256 (it was built with OpenSSL).
bool has_sha256();

/// The sha256 of `bytes` as 64 lower-case hexadecimal digits (FIPS 180-4). Error in a build without OpenSSL.
std::string sha256(std::string_view bytes);

}  // namespace folio::data
