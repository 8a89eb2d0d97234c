#include "data/corpus.hpp"

#include <range/v3/range/operations.hpp>
#include <range/v3/view/filter.hpp>
#include <range/v3/view/iota.hpp>
#include <string>

#include "autograd/error.hpp"
#include "data/utf8.hpp"

namespace folio::data {

namespace views = ranges::views;

namespace {

/// `text`, of more than first(n) characters, cut behind the first first(n) of its n.
template <class First>
SplitText cut(std::string_view text, First&& first) {
  require(!text.empty(), [] { return std::string("text: empty: give one with more characters"); });
  const auto n = static_cast<std::int64_t>(decode_utf8(text).size());
  const auto begins = [&](std::size_t byte) { return begins_character(text[byte]); };
  auto character_starts = views::iota(std::size_t{0}, text.size()) | views::filter(begins);
  const std::size_t at = *ranges::next(character_starts.begin(), first(n));
  return {text.substr(0, at), text.substr(at)};
}

}  // namespace

SplitText split_by_position(std::string_view text) { return cut(text, train_characters); }

SplitText split_for_tuning(std::string_view text) {
  return cut(split_by_position(text).train, [](std::int64_t n) { return n - (n + 19) / 20; });
}

Corpus make_corpus(std::string_view text, const Tokenizer& tokenizer, std::int64_t context, bool tuning) {
  const SplitText split = tuning ? split_for_tuning(text) : split_by_position(text);
  Corpus corpus{tokenizer.encode(split.train), tokenizer.encode(split.validation)};
  const auto demand = [&](const char* name, const std::vector<std::int32_t>& tokens) {
    require(std::ssize(tokens) > context, [&] {
      return std::string("text: too short: its ") + name + " split has " + std::to_string(tokens.size()) +
             " tokens, a context of " + std::to_string(context) + " needs " + std::to_string(context + 1) +
             ": give a longer text or a shorter context";
    });
  };
  demand("validation", corpus.validation);
  demand("training", corpus.train);
  return corpus;
}

}  // namespace folio::data
