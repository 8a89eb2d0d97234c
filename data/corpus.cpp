#include "data/corpus.hpp"

#include <range/v3/range/operations.hpp>
#include <range/v3/view/filter.hpp>
#include <range/v3/view/iota.hpp>
#include <string>

#include "autograd/error.hpp"
#include "data/utf8.hpp"

namespace folio::data {

namespace views = ranges::views;

SplitText split_by_position(std::string_view text) {
  require(!text.empty(), [] { return std::string("text: empty: give one with characters in it"); });
  const auto n = static_cast<std::int64_t>(decode_utf8(text).size());
  const auto begins = [&](std::size_t byte) { return begins_character(text[byte]); };
  auto character_starts = views::iota(std::size_t{0}, text.size()) | views::filter(begins);
  const std::size_t cut = *ranges::next(character_starts.begin(), train_characters(n));
  return {text.substr(0, cut), text.substr(cut)};
}

Corpus make_corpus(std::string_view text, const Tokenizer& tokenizer, std::int64_t context) {
  const SplitText split = split_by_position(text);
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
