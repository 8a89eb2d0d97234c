#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace folio::data {

/// Text to token ids and back. Ids run from 0 to vocab_size() − 1.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// The ids of UTF-8 text. Error where the text is not UTF-8, or holds what the vocabulary lacks.
  virtual std::vector<std::int32_t> encode(std::string_view text) const = 0;
  /// The UTF-8 text of ids. Error where an id is outside the vocabulary.
  virtual std::string decode(std::span<const std::int32_t> ids) const = 0;
  virtual std::int64_t vocab_size() const = 0;
  /// All there is to the tokenizer, as one JSON object whose "type" names its class.
  virtual std::string to_json() const = 0;

  /// The tokenizer that to_json() wrote. Error where the JSON is broken or describes no tokenizer.
  static std::unique_ptr<Tokenizer> from_json(std::string_view json);
};

/// One id per character (Unicode code point), in the order of the code points.
class CharTokenizer final : public Tokenizer {
 public:
  /// Knows the characters of `text`. Error where the text is empty or not UTF-8.
  explicit CharTokenizer(std::string_view text);

  std::vector<std::int32_t> encode(std::string_view text) const override;
  std::string decode(std::span<const std::int32_t> ids) const override;
  std::int64_t vocab_size() const override { return static_cast<std::int64_t>(characters_.size()); }
  std::string to_json() const override;

  /// characters()[id] is the character of `id`.
  const std::u32string& characters() const { return characters_; }

 private:
  std::u32string characters_;  // sorted, each once
};

}  // namespace folio::data
