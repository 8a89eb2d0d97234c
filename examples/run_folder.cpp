#include "examples/run_folder.hpp"

#include <fstream>
#include <nlohmann/json.hpp>

#include "data/file.hpp"
#include "data/safetensors.hpp"

namespace folio::examples {
namespace {

void write_text(const std::filesystem::path& path, const std::string& text) {
  std::ofstream out(path);
  out << text << '\n';
  out.close();
  require(out.good(), [&] { return "cannot write " + path.string() + ": choose a folder you may write with --out"; });
}

}  // namespace

void make_run_folder(const std::filesystem::path& folder) {
  require(!std::filesystem::exists(folder / "metrics.jsonl"), [&] {
    return folder.string() + " already holds a run; choose another folder with --out, or remove it";
  });
  std::error_code problem;
  std::filesystem::create_directories(folder, problem);
  require(!problem, [&] { return "cannot make folder " + folder.string() + ": " + problem.message(); });
}

void save_description(const std::filesystem::path& folder, const Preset& preset, const data::Tokenizer& tokenizer) {
  nlohmann::ordered_json json;
  json["preset"] = preset.name;
  for (const auto& [key, value] : preset.model.key_values()) json["model"][key] = value;
  TrainSettings::visit(preset.training, [&](const char* key, const auto& value) { json["training"][key] = value; });
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
    return folder.string() + " holds no trained model (no model.safetensors); give the --out folder of a finished train run";
  });
  const auto json = nlohmann::json::parse(data::read_file(folder / "config.json"), nullptr, false);
  require(json.is_object() && json.contains("model") && json["model"].is_object(),
          [&] { return (folder / "config.json").string() + " is not a run's configuration"; });
  DeepSeekConfig config;
  for (const auto& entry : json["model"].items()) {
    require(entry.value().is_string(),
            [&] { return (folder / "config.json").string() + ": '" + entry.key() + "' must be a string"; });
    config.set(entry.key(), entry.value().get<std::string>());
  }
  config.validate();
  SavedModel saved;
  saved.tokenizer = data::Tokenizer::from_json(data::read_file(folder / "tokenizer.json"));
  Generator unused(0);
  saved.model = std::make_unique<DeepSeekLM>(config, unused);
  saved.model->load_state(data::load_safetensors(folder / "model.safetensors").tensors);
  saved.model->eval();
  return saved;
}

std::string shown(const data::Tokenizer& tokenizer, std::span<const std::int32_t> ids) {
  std::string text;
  for (const std::int32_t& id : ids) text += id < tokenizer.vocab_size() ? tokenizer.decode({&id, 1}) : "\uFFFD";
  return text;
}

}  // namespace folio::examples
