#include "data/sha256.hpp"

#include "autograd/error.hpp"

#if FOLIO_HAS_OPENSSL
#include <openssl/evp.h>

#include <array>
#endif

namespace folio::data {

#if FOLIO_HAS_OPENSSL

bool has_sha256() { return true; }

std::string sha256(std::string_view bytes) {
  std::array<unsigned char, 32> digest{};
  unsigned int size = 0;
  require(EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_sha256(), nullptr) == 1 && size == 32,
          [] { return std::string("sha256: OpenSSL could not compute it"); });
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : digest) {
    text += digits[byte >> 4];
    text += digits[byte & 15];
  }
  return text;
}

#else

bool has_sha256() { return false; }

std::string sha256(std::string_view) { throw Error("sha256: built without OpenSSL: install it and configure again"); }

#endif

}  // namespace folio::data
