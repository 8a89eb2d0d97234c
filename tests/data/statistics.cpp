#include "data/statistics.hpp"

#include <map>

#include "data/download.hpp"
#include "data/file.hpp"
#include "data/source.hpp"
#include "data/utf8.hpp"
#include "tests/data/generators.hpp"
#include "tests/data/support.hpp"

namespace folio::data {
namespace {

constexpr const char* of_the_sample = "30,895 characters, 1,131 lines, 62 unique\n";

TEST(Statistics, OfTheTextThatFolioDataNamesAreTinyShakespearesElseThoseOfTheSample) {
  const auto folder = Surroundings::of_process().folio_data;
  if (!folder) {
    EXPECT_EQ(describe(statistics(sample_text()), 0), of_the_sample);
    return;
  }
  const std::string text = read_file(std::filesystem::path(*folder) / "input-1.txt");
  EXPECT_EQ(describe(statistics(text), 0), "1,115,394 characters, 40,000 lines, 65 unique\n");
  EXPECT_EQ(error_of([&] { verify(text, tiny_shakespeare(), "$FOLIO_DATA/input-1.txt"); }), "");
}

TEST(Statistics, OfTheSample) {
  EXPECT_EQ(describe(statistics(sample_text()), 0), of_the_sample);
  EXPECT_EQ(sample_text(), read_file(FOLIO_SAMPLE_FILE));
}

FOLIO_PROPERTY(Statistics, CountEveryCharacterOnce) {
  const std::u32string known = *rc::gen::nonEmpty(any_text());
  const auto text = *rc::gen::container<std::u32string>(rc::gen::elementOf(known));
  note_text(shares, text);
  const Statistics found = statistics(encode_utf8(text));
  std::map<char32_t, std::int64_t> counts;
  for (const char32_t c : text) {
    ++counts[c];
  }
  shares.note("with a character that comes back", counts.size() < text.size(), 70);
  RC_ASSERT(found.characters == std::ssize(text));
  RC_ASSERT(found.unique() == std::ssize(counts));
  bool tied = false;
  for (std::size_t i = 0; i < found.frequencies.size(); ++i) {
    const auto& [character, count] = found.frequencies[i];
    RC_ASSERT(counts.at(character) == count);
    if (i > 0) {
      const auto& before = found.frequencies[i - 1];
      tied = tied || before.count == count;
      RC_ASSERT(before.count > count || (before.count == count && before.character < character));
    }
  }
  shares.note("with two characters as frequent as each other", tied, 70);
}

TEST(Statistics, CountALastLineThatHasNoEnd) {
  const auto lines = [](std::string_view text) { return statistics(text).lines; };
  EXPECT_EQ(lines(""), 0);
  EXPECT_EQ(lines("a"), 1);
  EXPECT_EQ(lines("a\n"), 1);
  EXPECT_EQ(lines("a\nb"), 2);
  EXPECT_EQ(lines("\n\n"), 2);
}

TEST(Statistics, AreReadByPeople) {
  EXPECT_EQ(describe(statistics("aab\xC3\xA9\n"), 2),
            "5 characters, 1 line, 4 unique\n"
            "           2  40.00 %  'a'\n"
            "           1  20.00 %  '\\n'\n");
  EXPECT_EQ(with_thousands(1'115'394), "1,115,394");
  EXPECT_EQ(with_thousands(999), "999");
  EXPECT_EQ(with_thousands(-1000), "-1,000");
  EXPECT_EQ(with_thousands(-100), "-100");
}

TEST(Statistics, RefuseTextThatIsNotUtf8) {
  EXPECT_TRUE(contains(error_of([] { statistics("abc\xC3"); }), "byte 3"));
}

}  // namespace
}  // namespace folio::data
