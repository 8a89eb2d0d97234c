#include "examples/run_folder.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <nlohmann/json.hpp>

#include "data/file.hpp"
#include "data/safetensors.hpp"
#include "data/statistics.hpp"
#include "examples/memory.hpp"
#include "examples/program.hpp"

namespace folio::examples {
namespace {

constexpr const char* run_files[] = {"metrics.jsonl", "config.json",           "tokenizer.json", "model.safetensors",
                                     "loss.svg",      "model.safetensors.tmp", "loss.svg.tmp",   "trace.json"};

void write_text(const std::filesystem::path& path, const std::string& text) {
  std::ofstream out(path);
  out << text << '\n';
  out.close();
  require(out.good(), [&] { return "cannot write " + path.string() + ": choose a folder you may write with --out"; });
}

std::string holds_a_run(const std::filesystem::path& folder, const char* file) {
  return folder.string() + " already holds a run (" + file + "); choose another folder with --out, or remove it";
}

/// The folder, or an Error where it has no name or holds a run.
std::filesystem::path without_a_run(std::filesystem::path folder) {
  require(!folder.empty(), [] { return std::string("the run's folder has no name; give one with --out"); });
  std::error_code ignored;
  for (const char* file : run_files) {
    require(!std::filesystem::exists(folder / file, ignored), [&] { return holds_a_run(folder, file); });
  }
  return folder;
}

/// Makes the first of a run's files, which one alone can do of several runs that start into one folder at once.
void claim(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "config.json";
  std::FILE* made = std::fopen(file.c_str(), "wx");
  const int problem = errno;
  require(made != nullptr || problem != EEXIST, [&] { return holds_a_run(folder, "config.json"); });
  require(made != nullptr, [&] {
    return "cannot write " + file.string() + ": " + std::generic_category().message(problem) +
           "; choose another folder with --out";
  });
  std::fclose(made);
}

}  // namespace

RunFolder::RunFolder(std::filesystem::path folder) : path_(without_a_run(std::move(folder))), folders_(path_) {
  require(!folders_.problem(), [&] {
    return "cannot make folder " + path_.string() + ": " + folders_.problem().message() + "; choose another with --out";
  });
  claim(path_);
}

RunFolder::~RunFolder() {
  if (kept_) return;
  std::error_code ignored;
  for (const char* file : run_files) std::filesystem::remove(path_ / file, ignored);
}

std::string next_folder(std::string stem) {
  while (stem.size() > 1 && stem.back() == '/') stem.pop_back();
  std::string name;
  std::error_code ignored;
  int n = 2;
  do {
    name = fmt::format("{}-{}", stem, n++);
  } while (std::filesystem::exists(name, ignored));
  return name;
}

std::filesystem::path default_run_folder(const std::string& preset) {
  const std::string name = fmt::format("runs/{}-{:%Y%m%d-%H%M%S}", preset, fmt::localtime(std::time(nullptr)));
  return std::filesystem::exists(name) ? next_folder(name) : name;
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

namespace {

/// Reads the weights: an Error where memory cannot hold them twice, as the file's tensors and as the model's.
data::TensorFile load_weights(const std::string& file) {
  std::error_code unknown;
  const auto bytes = static_cast<double>(std::filesystem::file_size(file, unknown));
  require(unknown || 2 * bytes <= available_memory(), [&] {
    return fmt::format("{} takes {:.1f} GiB twice while it is read, and {:.1f} are free", file, bytes / (1 << 30),
                       available_memory() / (1 << 30));
  });
  return data::load_safetensors(file);
}

/// The model's settings in a run's config.json.
DeepSeekConfig saved_config(const nlohmann::json& run, const std::string& file) {
  require(run.is_object() && run.contains("model") && run["model"].is_object(),
          [&] { return file + " is not a run's configuration"; });
  DeepSeekConfig config;
  for (const auto& [key, value] : config.key_values()) {
    if (!run["model"].contains(key)) throw Error(fmt::format("{}: the model's '{}' is missing", file, key));
  }
  for (const auto& entry : run["model"].items()) {
    require(entry.value().is_string(), [&] { return file + ": '" + entry.key() + "' must be a string"; });
    naming(file, [&] { config.set(entry.key(), entry.value().get<std::string>()); });
  }
  naming(file, [&] { config.validate(); });
  return config;
}

/// An Error where the model would be larger than the weights: what is built takes no more memory than was read.
void require_enough(const data::TensorFile& weights, const DeepSeekConfig& config, const std::string& file) {
  std::int64_t numbers = 0;
  for (const auto& [name, value] : weights.tensors) numbers += value.numel();
  const std::int64_t wanted = count_parameters(config).total;
  require(wanted <= numbers, [&] {
    return fmt::format("{} holds {} numbers, and config.json describes a model of {}: they are not of one run", file,
                       data::with_thousands(numbers), data::with_thousands(wanted));
  });
}

}  // namespace

SavedModel load_model(const std::filesystem::path& folder) {
  const std::string weights_file = (folder / "model.safetensors").string(),
                    config_file = (folder / "config.json").string(),
                    tokenizer_file = (folder / "tokenizer.json").string();
  std::error_code ignored;
  require(std::filesystem::exists(weights_file, ignored), [&] {
    return folder.string() +
           " holds no trained model (no model.safetensors); give the --out folder of a finished train run";
  });
  const auto json = nlohmann::json::parse(data::read_file(config_file), nullptr, false);
  const DeepSeekConfig config = saved_config(json, config_file);
  SavedModel saved;
  const std::string description = data::read_file(tokenizer_file);
  naming(tokenizer_file, [&] { saved.tokenizer = data::Tokenizer::from_json(description); });
  const nlohmann::json::json_pointer size("/tokenizer/vocab_size");
  require(json.contains(size) && json[size].is_number_integer(),
          [&] { return config_file + ": the tokenizer's vocab_size is missing, or no whole number"; });
  const auto known = json[size].get<std::int64_t>();
  require(saved.tokenizer->vocab_size() == known && known <= config.vocab_size, [&] {
    return tokenizer_file + " has " + std::to_string(saved.tokenizer->vocab_size()) + " tokens, and config.json says " +
           std::to_string(known) + " for a model of " + std::to_string(config.vocab_size) + ": they are not of one run";
  });
  const data::TensorFile weights = load_weights(weights_file);
  require_enough(weights, config, weights_file);
  Generator unused(0);
  saved.model = std::make_unique<DeepSeekLM>(config, unused);
  naming(weights_file, [&] { saved.model->load_state(weights.tensors); });
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
