#include "examples/run_folder.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <ctime>
#include <fstream>
#include <nlohmann/json.hpp>

#include "data/file.hpp"
#include "data/safetensors.hpp"
#include "examples/program.hpp"

namespace folio::examples {
namespace {

constexpr const char* run_files[] = {"metrics.jsonl", "config.json", "tokenizer.json", "model.safetensors"};

void write_text(const std::filesystem::path& path, const std::string& text) {
  std::ofstream out(path);
  out << text << '\n';
  out.close();
  require(out.good(), [&] { return "cannot write " + path.string() + ": choose a folder you may write with --out"; });
}

/// The folder, or an Error where it has no name or holds a run.
std::filesystem::path without_a_run(std::filesystem::path folder) {
  require(!folder.empty(), [] { return std::string("the run's folder has no name; give one with --out"); });
  std::error_code ignored;
  for (const char* file : run_files) {
    require(!std::filesystem::exists(folder / file, ignored), [&] {
      return folder.string() + " already holds a run (" + file + "); choose another folder with --out, or remove it";
    });
  }
  return folder;
}

}  // namespace

RunFolder::RunFolder(std::filesystem::path folder) : path_(without_a_run(std::move(folder))), folders_(path_) {
  require(!folders_.problem(), [&] {
    return "cannot make folder " + path_.string() + ": " + folders_.problem().message() + "; choose another with --out";
  });
}

RunFolder::~RunFolder() {
  if (kept_) return;
  std::error_code ignored;
  for (const char* file : run_files) std::filesystem::remove(path_ / file, ignored);
}

std::filesystem::path default_run_folder(const std::string& preset) {
  const std::string stem = fmt::format("runs/{}-{:%Y%m%d-%H%M%S}", preset, fmt::localtime(std::time(nullptr)));
  std::string name = stem;
  for (int n = 2; std::filesystem::exists(name); ++n) name = fmt::format("{}-{}", stem, n);
  return name;
}

void save_description(const std::filesystem::path& folder, const Preset& preset, const data::Tokenizer& tokenizer) {
  nlohmann::ordered_json json;
  json["preset"] = preset.name;
  for (const auto& [key, value] : preset.model.key_values()) json["model"][key] = value;
  TrainSettings::visit(preset.training, [&](const char* key, const auto& value) { json["training"][key] = value; });
  json["tokenizer"]["vocab_size"] = tokenizer.vocab_size();
  write_text(folder / "config.json", json.dump(2));
  write_text(folder / "tokenizer.json", tokenizer.to_json());
}

void save_weights(const std::filesystem::path& folder, const DeepSeekLM& model) {
  auto state = model.state();
  for (auto& [name, value] : state) value = value.detach().to(Device::cpu);
  data::save_safetensors(folder / "model.safetensors", {state, {}});
}

SavedModel load_model(const std::filesystem::path& folder) {
  require(std::filesystem::exists(folder / "model.safetensors"), [&] {
    return folder.string() +
           " holds no trained model (no model.safetensors); give the --out folder of a finished train run";
  });
  const std::string config_file = (folder / "config.json").string(),
                    tokenizer_file = (folder / "tokenizer.json").string();
  const auto json = nlohmann::json::parse(data::read_file(config_file), nullptr, false);
  require(json.is_object() && json.contains("model") && json["model"].is_object(),
          [&] { return config_file + " is not a run's configuration"; });
  DeepSeekConfig config;
  for (const auto& [key, value] : config.key_values()) {
    if (!json["model"].contains(key)) throw Error(fmt::format("{}: the model's '{}' is missing", config_file, key));
  }
  for (const auto& entry : json["model"].items()) {
    require(entry.value().is_string(), [&] { return config_file + ": '" + entry.key() + "' must be a string"; });
    naming(config_file, [&] { config.set(entry.key(), entry.value().get<std::string>()); });
  }
  naming(config_file, [&] { config.validate(); });
  SavedModel saved;
  const std::string description = data::read_file(tokenizer_file);
  naming(tokenizer_file, [&] { saved.tokenizer = data::Tokenizer::from_json(description); });
  const auto known = json.value(nlohmann::json::json_pointer("/tokenizer/vocab_size"), std::int64_t{-1});
  require(saved.tokenizer->vocab_size() == known && known <= config.vocab_size, [&] {
    return tokenizer_file + " has " + std::to_string(saved.tokenizer->vocab_size()) + " tokens, and config.json says " +
           std::to_string(known) + " for a model of " + std::to_string(config.vocab_size) + ": they are not of one run";
  });
  Generator unused(0);
  saved.model = std::make_unique<DeepSeekLM>(config, unused);
  const data::TensorFile weights = data::load_safetensors(folder / "model.safetensors");
  naming((folder / "model.safetensors").string(), [&] { saved.model->load_state(weights.tensors); });
  saved.model->eval();
  return saved;
}

bool can_encode(const data::Tokenizer& tokenizer, const std::string& text) {
  try {
    tokenizer.encode(text);
    return true;
  } catch (const Error&) {
    return false;
  }
}

std::vector<std::int32_t> opening(const data::Tokenizer& tokenizer) {
  return can_encode(tokenizer, "\n") ? tokenizer.encode("\n") : std::vector<std::int32_t>{0};
}

}  // namespace folio::examples
