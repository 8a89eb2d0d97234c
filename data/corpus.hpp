#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "data/tokenizer.hpp"

namespace folio::data {

/// A text cut in two by position: the first ⌊0.9·n⌋ of its n characters to train on, the rest to validate on.
struct SplitText {
  std::string_view train;  ///< views into the text that was split
  std::string_view validation;
};

/// ⌊0.9·n⌋ exactly: 1,003,854 of Tiny Shakespeare's 1,115,394.
constexpr std::int64_t train_characters(std::int64_t n) { return n - (n + 9) / 10; }

/// Error where the text is empty or not UTF-8.
SplitText split_by_position(std::string_view text);

/// To try settings out without a look at the validation text: the first ⌊0.95·n⌋ of the training split's n characters to
/// train on, the rest of it to validate on.
SplitText split_for_tuning(std::string_view text);

/// The token ids of both splits.
struct Corpus {
  std::vector<std::int32_t> train;
  std::vector<std::int32_t> validation;
};

/// Splits `text`, for tuning where asked, encodes both splits, and makes sure that each holds one window of `context` tokens
/// and its targets (context + 1 tokens). Error where the text is empty, not UTF-8, unknown to the tokenizer or too short.
Corpus make_corpus(std::string_view text, const Tokenizer& tokenizer, std::int64_t context, bool tuning = false);

}  // namespace folio::data
