#include "data/utf8.hpp"

#include <array>
#include <bit>
#include <cstdint>
#include <iomanip>
#include <sstream>

#include "autograd/error.hpp"

namespace folio::data {
namespace {

std::string hexadecimal(std::uint32_t value, int digits) {
  std::ostringstream out;
  out << std::hex << std::uppercase << std::setw(digits) << std::setfill('0') << value;
  return out.str();
}

[[noreturn]] void refuse(std::string_view text, std::size_t offset) {
  const auto byte = static_cast<unsigned char>(text[offset]);
  throw Error("text: not UTF-8 at byte " + std::to_string(offset) + " (0x" + hexadecimal(byte, 2) +
              "): convert the text to UTF-8");
}

}  // namespace

std::u32string decode_utf8(std::string_view text) {
  constexpr std::array<char32_t, 5> smallest = {0, 0, 0x80, 0x800, 0x10000};  // by length: less is an overlong form
  std::u32string characters;
  characters.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const auto lead = static_cast<std::uint8_t>(text[at]);
    if (lead < 0x80) {
      characters.push_back(lead);
      ++at;
      continue;
    }
    const auto length = static_cast<std::size_t>(std::countl_one(lead));
    if (length < 2 || length > 4 || at + length > text.size()) {
      refuse(text, at);
    }
    char32_t character = lead & (0x7Fu >> length);
    for (std::size_t i = 1; i < length; ++i) {
      if (begins_character(text[at + i])) {
        refuse(text, at);
      }
      character = character << 6 | (static_cast<std::uint8_t>(text[at + i]) & 0x3Fu);
    }
    const bool surrogate = character >= 0xD800 && character <= 0xDFFF;
    if (character < smallest[length] || character > 0x10FFFF || surrogate) {
      refuse(text, at);
    }
    characters.push_back(character);
    at += length;
  }
  return characters;
}

std::string encode_utf8(std::u32string_view characters) {
  std::string text;
  text.reserve(characters.size());
  for (const char32_t c : characters) {
    const auto tail = [&](int shift) { text.push_back(static_cast<char>(0x80 | (c >> shift & 0x3F))); };
    if (c < 0x80) {
      text.push_back(static_cast<char>(c));
    } else if (c < 0x800) {
      text.push_back(static_cast<char>(0xC0 | c >> 6));
      tail(0);
    } else if (c < 0x10000) {
      text.push_back(static_cast<char>(0xE0 | c >> 12));
      tail(6), tail(0);
    } else {
      text.push_back(static_cast<char>(0xF0 | c >> 18));
      tail(12), tail(6), tail(0);
    }
  }
  return text;
}

std::string show_character(char32_t character) {
  switch (character) {
    case U'\n': return "'\\n'";
    case U'\r': return "'\\r'";
    case U'\t': return "'\\t'";
    default: break;
  }
  std::string shown;
  const bool control = character < 0x20 || (character >= 0x7F && character < 0xA0);
  if (!control) {
    shown = "'" + encode_utf8({&character, 1}) + "'";
  }
  if (control || character >= 0x7F) {
    const std::string number = "U+" + hexadecimal(character, 4);
    shown += control ? number : " (" + number + ")";
  }
  return shown;
}

}  // namespace folio::data
