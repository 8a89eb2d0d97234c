#pragma once
#include <algorithm>
#include <cstdint>
#include <string>

#include "tests/shares.hpp"

namespace folio::data {

/// Any code point that UTF-8 may hold, each length of encoding as likely as the others.
inline rc::Gen<char32_t> any_character() {
  const auto between = [](std::uint32_t first, std::uint32_t end) {
    return rc::gen::cast<char32_t>(rc::gen::inRange(first, end));
  };
  return rc::gen::oneOf(between(0, 0x80), between(0x80, 0x800), between(0x800, 0xD800), between(0xE000, 0x10000),
                        between(0x10000, 0x110000));
}

inline rc::Gen<std::u32string> any_text() { return rc::gen::container<std::u32string>(any_character()); }

inline void note_text(testing::Shares& shares, const std::u32string& text) {
  shares.note("of several characters", text.size() > 1, 80);
  shares.note("beyond ASCII", std::any_of(text.begin(), text.end(), [](char32_t c) { return c >= 0x80; }), 80);
}

}  // namespace folio::data
