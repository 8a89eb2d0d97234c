#include "data/tokenizer.hpp"

#include <nlohmann/json.hpp>
#include <range/v3/action/sort.hpp>
#include <range/v3/action/unique.hpp>
#include <range/v3/algorithm/lower_bound.hpp>

#include "autograd/error.hpp"
#include "data/utf8.hpp"

namespace folio::data {

using nlohmann::json;

CharTokenizer::CharTokenizer(std::string_view text)
    : characters_(decode_utf8(text) | ranges::actions::sort | ranges::actions::unique) {
  require(!characters_.empty(), [] { return std::string("tokenizer: no characters to know: give a text"); });
}

std::vector<std::int32_t> CharTokenizer::encode(std::string_view text) const {
  const std::u32string wanted = decode_utf8(text);
  std::vector<std::int32_t> ids;
  ids.reserve(wanted.size());
  for (const char32_t character : wanted) {
    const auto at = ranges::lower_bound(characters_, character);
    require(at != characters_.end() && *at == character, [&] {
      return "tokenizer: unknown character " + show_character(character) + " at position " +
             std::to_string(ids.size()) + ": the vocabulary has " + std::to_string(characters_.size()) +
             " characters, use only those of its text";
    });
    ids.push_back(static_cast<std::int32_t>(at - characters_.begin()));
  }
  return ids;
}

std::string CharTokenizer::decode(std::span<const std::int32_t> ids) const {
  std::u32string text;
  text.reserve(ids.size());
  for (const std::int32_t id : ids) {
    require(id >= 0 && id < vocab_size(), [&] {
      return "tokenizer: no token " + std::to_string(id) + " in a vocabulary of " + std::to_string(vocab_size());
    });
    text.push_back(characters_[static_cast<std::size_t>(id)]);
  }
  return encode_utf8(text);
}

std::string CharTokenizer::to_json() const {
  return json{{"type", "characters"}, {"characters", encode_utf8(characters_)}}.dump();
}

std::unique_ptr<Tokenizer> Tokenizer::from_json(std::string_view text) {
  const auto refuse = [](const std::string& reason) { return Error("tokenizer: cannot be read: " + reason); };
  const json object = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) {
    throw refuse("not a JSON object");
  }
  const auto text_at = [&](const char* key) -> const std::string& {  // not a copy, which recurses into what is nested
    const auto found = object.find(key);
    if (found == object.end() || !found->is_string()) {
      throw refuse("\"" + std::string(key) + "\" is not a string");
    }
    return found->get_ref<const std::string&>();
  };
  if (text_at("type") != "characters") {
    throw refuse("its \"type\" is " + object["type"].dump() + ", known is \"characters\"");
  }
  const std::string& listed = text_at("characters");
  auto tokenizer = std::make_unique<CharTokenizer>(listed);
  if (encode_utf8(tokenizer->characters()) != listed) {
    throw refuse("\"characters\" are not sorted, each once");
  }
  return tokenizer;
}

}  // namespace folio::data
