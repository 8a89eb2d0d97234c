#pragma once
#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "data/tokenizer.hpp"
#include "examples/presets.hpp"
#include "nn/deepseek_lm.hpp"

namespace folio::examples {

/// A run's folder: config.json (model and training), tokenizer.json, model.safetensors, metrics.jsonl, loss.svg.
/// Makes the folder. An Error if it already holds a run, or cannot be written.
void make_run_folder(const std::filesystem::path& folder);

/// Writes config.json and tokenizer.json: all that is known before the first step.
void save_description(const std::filesystem::path& folder, const Preset& preset, const data::Tokenizer& tokenizer);
void save_weights(const std::filesystem::path& folder, const DeepSeekLM& model);

/// What `generate --from DIR` works with, in evaluation mode.
struct SavedModel {
  std::unique_ptr<DeepSeekLM> model;
  std::unique_ptr<data::Tokenizer> tokenizer;
};
SavedModel load_model(const std::filesystem::path& folder);

/// The text of tokens. A model may have more outputs than its tokenizer has characters; those show as U+FFFD.
std::string shown(const data::Tokenizer& tokenizer, std::span<const std::int32_t> ids);

}  // namespace folio::examples
