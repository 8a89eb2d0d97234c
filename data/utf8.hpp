#pragma once
#include <string>
#include <string_view>

namespace folio::data {

/// The characters (Unicode code points) of UTF-8 text. Error with the byte offset where the text is not UTF-8:
/// a stray or missing continuation byte, an overlong form, a surrogate, a code point beyond U+10FFFF (RFC 3629).
std::u32string decode_utf8(std::string_view text);

/// The UTF-8 form of code points (which must be valid, as decode_utf8 returns them).
std::string encode_utf8(std::u32string_view characters);

/// True for the bytes that begin a character, so that counting them in valid UTF-8 counts characters.
constexpr bool begins_character(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) != 0x80; }

/// A character as a person can read it: 'a', '\n', 'é' (U+00E9); control characters by number alone (U+0007).
std::string show_character(char32_t character);

}  // namespace folio::data
