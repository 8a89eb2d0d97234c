#include "data/tokenizer.hpp"

#include <algorithm>

#include "data/utf8.hpp"
#include "tests/data/generators.hpp"
#include "tests/data/support.hpp"

namespace folio::data {
namespace {

FOLIO_PROPERTY(CharTokenizer, DecodesWhatItEncodedOfAnyTextOfItsCharacters) {
  const std::u32string known = *rc::gen::nonEmpty(any_text());
  const CharTokenizer tokenizer(encode_utf8(known));
  const auto text = *rc::gen::container<std::u32string>(rc::gen::elementOf(known));
  note_text(shares, text);
  const auto ids = tokenizer.encode(encode_utf8(text));
  RC_ASSERT(ids.size() == text.size());
  RC_ASSERT(tokenizer.decode(ids) == encode_utf8(text));
}

FOLIO_PROPERTY(CharTokenizer, EncodesWhatItDecodedOfAnyIds) {
  const CharTokenizer tokenizer(encode_utf8(*rc::gen::nonEmpty(any_text())));
  const auto id = rc::gen::inRange<std::int32_t>(0, static_cast<std::int32_t>(tokenizer.vocab_size()));
  const auto ids = *rc::gen::container<std::vector<std::int32_t>>(id);
  shares.note("of several ids", ids.size() > 1, 80);
  shares.note("with a choice of ids", tokenizer.vocab_size() > 1, 80);
  RC_ASSERT(tokenizer.encode(tokenizer.decode(ids)) == ids);
}

FOLIO_PROPERTY(CharTokenizer, IsTheSameAfterASaveAndALoad) {
  const std::u32string characters = *rc::gen::nonEmpty(any_text());
  note_text(shares, characters);
  const std::string text = encode_utf8(characters);
  const CharTokenizer tokenizer(text);
  const auto loaded = Tokenizer::from_json(tokenizer.to_json());
  RC_ASSERT(loaded->vocab_size() == tokenizer.vocab_size());
  RC_ASSERT(loaded->encode(text) == tokenizer.encode(text));
  RC_ASSERT(loaded->to_json() == tokenizer.to_json());
}

TEST(CharTokenizer, NumbersCharactersInTheOrderOfTheirCodePoints) {
  const CharTokenizer tokenizer("to be,\nor \xC3\xA9t\xC3\xA9");
  EXPECT_EQ(tokenizer.characters(), U"\n ,beort\u00e9");
  EXPECT_EQ(tokenizer.vocab_size(), 9);
  EXPECT_EQ(tokenizer.encode("\xC3\xA9t, \n"), (std::vector<std::int32_t>{8, 7, 2, 1, 0}));
}

TEST(CharTokenizer, RefusesAnUnknownCharacterByNamePlaceAndVocabulary) {
  const std::string error = error_of([] {
    CharTokenizer("abc\xC3\xA9")
        .encode(
            "\xC3\xA9"
            "c\xE2\x82\xAC");
  });
  EXPECT_TRUE(contains(error, "unknown character '\xE2\x82\xAC' (U+20AC) at position 2")) << error;
  EXPECT_TRUE(contains(error, "4 characters")) << error;
  const std::string of_a_line = error_of([] { CharTokenizer("abc").encode("a\nb"); });
  EXPECT_TRUE(contains(of_a_line, "unknown character '\\n' at position 1")) << of_a_line;
}

TEST(CharTokenizer, RefusesTextThatIsNotUtf8AndNoTextAtAll) {
  EXPECT_TRUE(contains(error_of([] { CharTokenizer("ab\xFF"); }), "byte 2"));
  EXPECT_TRUE(contains(error_of([] { CharTokenizer("ab").encode("a\xC3"); }), "byte 1"));
  EXPECT_TRUE(contains(error_of([] { CharTokenizer(""); }), "no characters"));
}

TEST(CharTokenizer, RefusesIdsOutsideTheVocabulary) {
  const CharTokenizer tokenizer("abc");
  for (const std::int32_t id : {-1, 3, 49151}) {
    const std::string error = error_of([&] { tokenizer.decode(std::vector{0, id}); });
    EXPECT_TRUE(contains(error, "no token " + std::to_string(id) + " in a vocabulary of 3")) << error;
  }
}

TEST(Tokenizer, RefusesJsonThatDescribesNone) {
  const std::string deep(1'000'000, '[');
  const std::string nested = R"({"type":)" + deep + std::string(deep.size(), ']') + "}";
  const char* broken[] = {"",
                          nested.c_str(),
                          "{",
                          "[]",
                          "null",
                          "{}",
                          R"({"type":"bytes","characters":"ab"})",
                          R"({"type":7,"characters":"ab"})",
                          R"({"type":"characters"})",
                          R"({"type":"characters","characters":["a"]})",
                          R"({"type":"characters","characters":""})",
                          R"({"type":"characters","characters":"ba"})",
                          R"({"type":"characters","characters":"aab"})"};
  for (const char* json : broken) {
    const std::string error = error_of([&] { Tokenizer::from_json(json); });
    EXPECT_TRUE(contains(error, "tokenizer: ")) << std::string(json).substr(0, 80) << " → " << error;
    EXPECT_FALSE(contains(error, "\n")) << std::string(json).substr(0, 80);
  }
}

}  // namespace
}  // namespace folio::data
