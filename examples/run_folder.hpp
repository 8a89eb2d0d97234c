#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "data/made_folders.hpp"
#include "data/tokenizer.hpp"
#include "examples/presets.hpp"
#include "nn/deepseek_lm.hpp"

namespace folio::examples {

/// A run's folder: config.json (model and training), tokenizer.json, model.safetensors, metrics.jsonl, loss.svg.
/// Made on construction: an Error if one of these is there already, or it cannot be made. Unless it is kept, whatever the run
/// wrote and the folders that it made are removed again.
class RunFolder {
 public:
  explicit RunFolder(std::filesystem::path folder);
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  void keep() { kept_ = true; }
  bool kept() const { return kept_; }

 private:
  std::filesystem::path path_;
  data::MadeFolders folders_;
  bool kept_ = false;
};

/// The first of "STEM-2", "STEM-3", … that is not there, without slashes behind STEM.
std::string next_folder(std::string stem);
/// "runs/PRESET-20240607-120000", or the next folder where that is there already.
std::filesystem::path default_run_folder(const std::string& preset);

/// Writes config.json and tokenizer.json: all that is known before the first step.
void save_description(const std::filesystem::path& folder, const Preset& preset, const data::Tokenizer& tokenizer);
void save_weights(const std::filesystem::path& folder, const DeepSeekLM& model);

/// What `generate --from DIR` works with, in evaluation mode.
struct SavedModel {
  std::unique_ptr<DeepSeekLM> model;
  std::unique_ptr<data::Tokenizer> tokenizer;
};
SavedModel load_model(const std::filesystem::path& folder);

/// What text goes on from where no prompt is given: a line break or, where the tokenizer knows none, its first character.
std::vector<std::int32_t> opening(const data::Tokenizer& tokenizer);
/// Whether the tokenizer knows every character of the text.
bool can_encode(const data::Tokenizer& tokenizer, const std::string& text);

}  // namespace folio::examples
