#include "data/statistics.hpp"

#include <iomanip>
#include <range/v3/action/sort.hpp>
#include <range/v3/algorithm/count.hpp>
#include <range/v3/range/conversion.hpp>
#include <range/v3/view/take.hpp>
#include <range/v3/view/transform.hpp>
#include <sstream>
#include <tuple>
#include <unordered_map>

#include "data/utf8.hpp"

namespace folio::data {

namespace views = ranges::views;

Statistics statistics(std::string_view text) {
  const std::u32string characters = decode_utf8(text);
  std::unordered_map<char32_t, std::int64_t> counts;
  for (const char32_t character : characters) {
    ++counts[character];
  }
  const bool unfinished = !text.empty() && text.back() != '\n';
  const auto rare_last = [](const Frequency& f) { return std::tuple(-f.count, f.character); };
  return {.characters = static_cast<std::int64_t>(characters.size()),
          .lines = ranges::count(text, '\n') + (unfinished ? 1 : 0),
          .frequencies = counts | views::transform([](const auto& entry) {
                           return Frequency{entry.first, entry.second};
                         }) |
                         ranges::to<std::vector> | ranges::actions::sort(std::less{}, rare_last)};
}

std::string with_thousands(std::int64_t number) {
  const std::string digits = std::to_string(number);
  std::string text;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    const std::size_t left = digits.size() - i;
    if (left % 3 == 0 && i > (number < 0 ? 1u : 0u)) {
      text += ',';
    }
    text += digits[i];
  }
  return text;
}

std::string describe(const Statistics& statistics, std::int64_t top) {
  std::ostringstream out;
  out << with_thousands(statistics.characters) << " characters, " << with_thousands(statistics.lines)
      << (statistics.lines == 1 ? " line, " : " lines, ") << with_thousands(statistics.unique()) << " unique\n"
      << std::fixed << std::setprecision(2);
  for (const auto& [character, count] : statistics.frequencies | views::take(top)) {
    const double share = 100.0 * static_cast<double>(count) / static_cast<double>(statistics.characters);
    out << std::setw(12) << with_thousands(count) << std::setw(7) << share << " %  " << show_character(character)
        << '\n';
  }
  return out.str();
}

}  // namespace folio::data
