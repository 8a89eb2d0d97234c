#include "data/utf8.hpp"

#include <algorithm>

#include "tests/data/generators.hpp"
#include "tests/data/support.hpp"

namespace folio::data {
namespace {

FOLIO_PROPERTY(Utf8, WhatIsEncodedDecodesToItself) {
  const std::u32string text = *any_text();
  note_text(shares, text);
  RC_ASSERT(decode_utf8(encode_utf8(text)) == text);
}

FOLIO_PROPERTY(Utf8, BytesAreEitherRefusedOrTheOneEncodingOfTheirCharacters) {
  const auto byte =
      rc::gen::elementOf(std::string("a\x80\xBF\xC0\xC1\xC2\xDF\xE0\xED\xEF\xF0\xF4\xF5\xF8\xFF\x9F\xA0\x8F\x90"));
  std::string bytes = *rc::gen::oneOf(rc::gen::container<std::string>(byte), rc::gen::map(any_text(), encode_utf8));
  if (*rc::gen::arbitrary<bool>()) bytes.insert(*rc::gen::inRange<std::size_t>(0, bytes.size() + 1), 1, *byte);
  std::u32string characters;
  const bool accepted = error_of([&] { characters = decode_utf8(bytes); }).empty();
  if (accepted) RC_ASSERT(encode_utf8(characters) == bytes);
  shares.note("refused", !accepted, 40);
  shares.note("accepted and beyond ASCII", accepted && characters.size() < bytes.size(), 15);
}

FOLIO_PROPERTY(Utf8, CharactersAreCountedByTheBytesThatBeginThem) {
  const std::u32string text = *any_text();
  note_text(shares, text);
  const std::string bytes = encode_utf8(text);
  RC_ASSERT(static_cast<std::size_t>(std::count_if(bytes.begin(), bytes.end(), begins_character)) == text.size());
}

TEST(Utf8, KnownEncodings) {
  EXPECT_EQ(encode_utf8(U"\u00e9\u20ac\U0001d11e"), "\xC3\xA9\xE2\x82\xAC\xF0\x9D\x84\x9E");
  EXPECT_EQ(decode_utf8("\xC3\xA9\xE2\x82\xAC\xF0\x9D\x84\x9E"), U"\u00e9\u20ac\U0001d11e");
}

struct Broken {
  const char* what;
  std::string bytes;
  int offset;
};

TEST(Utf8, BrokenTextIsRefusedAtItsByte) {
  const Broken cases[] = {
      {"a continuation byte alone", "ab\x80", 2},         {"a character cut short by the end", "abc\xE2\x82", 3},
      {"a character cut short by another", "\xC3(", 0},   {"an overlong slash", "a\xC0\xAF", 1},
      {"an overlong three-byte form", "\xE0\x9F\xBF", 0}, {"an overlong four-byte form", "\xF0\x8F\xBF\xBF", 0},
      {"a surrogate", "\xC3\xA9\xED\xA0\x80", 2},         {"beyond U+10FFFF", "x\xF4\x90\x80\x80", 1},
      {"a five-byte form", "\xF8\x88\x80\x80\x80", 0},    {"a byte that is never used", "line\n\xFF", 5},
  };
  for (const Broken& broken : cases) {
    const std::string error = error_of([&] { decode_utf8(broken.bytes); });
    EXPECT_TRUE(contains(error, "not UTF-8 at byte " + std::to_string(broken.offset) + " "))
        << broken.what << ": " << error;
  }
}

TEST(Utf8, NoByteBeyondTheEndIsRead) {
  const std::string_view half = std::string_view("\xC3\xA9").substr(0, 1);
  EXPECT_TRUE(contains(error_of([&] { decode_utf8(half); }), "byte 0"));
}

TEST(Utf8, CharactersAreShownForAPersonToRead) {
  EXPECT_EQ(show_character(U'e'), "'e'");
  EXPECT_EQ(show_character(U'\n'), "'\\n'");
  EXPECT_EQ(show_character(U'\u00e9'), "'\xC3\xA9' (U+00E9)");
  EXPECT_EQ(show_character(U'\a'), "U+0007");
  EXPECT_EQ(show_character(U'\u0085'), "U+0085");
}

}  // namespace
}  // namespace folio::data
