#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace folio::data {

/// A character and how often it stands in the text.
struct Frequency {
  char32_t character = 0;
  std::int64_t count = 0;
};

/// What there is to count in a text. Characters are Unicode code points.
struct Statistics {
  std::int64_t characters = 0;
  std::int64_t lines = 0;              ///< ends of line, and one more where the last line has none
  std::vector<Frequency> frequencies;  ///< most frequent first; equal counts by code point

  std::int64_t unique() const { return static_cast<std::int64_t>(frequencies.size()); }
};

/// Error where the text is not UTF-8.
Statistics statistics(std::string_view text);

/// The statistics for a person to read, several lines: '1,115,394 characters, 40,000 lines, 65 unique', then the `top`
/// most frequent characters with their counts and shares.
std::string describe(const Statistics& statistics, std::int64_t top = 10);

/// A number with its thousands apart: 1,115,394.
std::string with_thousands(std::int64_t number);

}  // namespace folio::data
