#include "data/corpus.hpp"

#include "data/source.hpp"
#include "data/utf8.hpp"
#include "tests/data/generators.hpp"
#include "tests/data/support.hpp"

namespace folio::data {
namespace {

TEST(Corpus, CutsTinyShakespeareWhereItsFiguresSay) {
  EXPECT_EQ(train_characters(1'115'394), 1'003'854);
  EXPECT_EQ(1'115'394 - train_characters(1'115'394), 111'540);
}

FOLIO_PROPERTY(Corpus, CutsByCharactersAfterNineTenths) {
  const std::u32string text = *rc::gen::nonEmpty(any_text());
  note_text(shares, text);
  shares.note("that nine tenths cut within a character", text.size() % 10 != 0, 60);
  const std::string bytes = encode_utf8(text);
  const SplitText split = split_by_position(bytes);
  RC_ASSERT(std::string(split.train) + std::string(split.validation) == bytes);
  RC_ASSERT(decode_utf8(split.train).size() == text.size() * 9 / 10);
}

FOLIO_PROPERTY(Corpus, HoldsTheLastTwentiethOfTheTrainingTextOutForTuning) {
  const auto length = *rc::gen::inRange<std::size_t>(20, 400);
  const std::string text = encode_utf8(*rc::gen::container<std::u32string>(length, any_character()));
  const SplitText split = split_by_position(text), tuning = split_for_tuning(text);
  shares.note("that nineteen twentieths cut within a character", decode_utf8(split.train).size() % 20 != 0, 80);
  shares.note("long enough for contexts", length >= 60, 60);
  RC_ASSERT(std::string(tuning.train) + std::string(tuning.validation) == split.train);
  RC_ASSERT(decode_utf8(tuning.train).size() == decode_utf8(split.train).size() * 19 / 20);
  const CharTokenizer tokenizer(text);
  if (length < 60) return;
  const Corpus corpus = make_corpus(text, tokenizer, 2, true);
  RC_ASSERT(corpus.train == tokenizer.encode(tuning.train));
  RC_ASSERT(corpus.validation == tokenizer.encode(tuning.validation));
}

FOLIO_PROPERTY(Corpus, HoldsTheTokensOfTheTextInOrder) {
  const auto context = *rc::gen::inRange<std::int64_t>(1, 20);
  const auto length = *rc::gen::inRange<std::size_t>(static_cast<std::size_t>(10 * context + 1), 400);
  const std::string text = encode_utf8(*rc::gen::container<std::u32string>(length, any_character()));
  shares.note("of a context of several tokens", context > 1, 70);
  shares.note("with tokens to spare", length > static_cast<std::size_t>(10 * context + 1), 70);
  const CharTokenizer tokenizer(text);
  Corpus corpus = make_corpus(text, tokenizer, context);
  RC_ASSERT(std::ssize(corpus.train) > context && std::ssize(corpus.validation) > context);
  corpus.train.insert(corpus.train.end(), corpus.validation.begin(), corpus.validation.end());
  RC_ASSERT(corpus.train == tokenizer.encode(text));
}

TEST(Corpus, NeedsOneContextAndItsTargetsInEachSplit) {
  const auto length = [](std::size_t n) {
    const std::string text(n, 'a');
    return error_of([&] { make_corpus(text, CharTokenizer(text), 64); });
  };
  EXPECT_EQ(length(641), "");  // 65 characters to validate on
  const std::string error = length(640);
  EXPECT_TRUE(contains(error, "validation split has 64 tokens, a context of 64 needs 65")) << error;
  EXPECT_FALSE(contains(error, "\n"));
  EXPECT_TRUE(contains(length(1), "too short"));
}

TEST(Corpus, RefusesAnEmptyTextAndOneThatIsNotUtf8) {
  EXPECT_TRUE(contains(error_of([] { split_by_position(""); }), "empty"));
  EXPECT_TRUE(contains(error_of([] { split_by_position("ab\xC3"); }), "byte 2"));
}

TEST(Corpus, TheSampleHoldsTenContextsOf256InEachSplit) {
  const Corpus corpus = make_corpus(sample_text(), CharTokenizer(sample_text()), 256);
  EXPECT_GT(corpus.validation.size(), 2560u);
  EXPECT_GT(corpus.train.size(), 2560u);
}

}  // namespace
}  // namespace folio::data
