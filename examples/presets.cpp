#include "examples/presets.hpp"

#include <algorithm>
#include <charconv>

#include "autograd/error.hpp"

namespace folio::examples {
namespace {

Preset tiny() {
  Preset p{.name = "tiny", .summary = "2 layers of width 64, 4 routed experts: seconds", .model = {}, .training = {}};
  p.model.context = 64;
  p.model.hidden_size = 64;
  p.model.num_hidden_layers = 2;
  p.model.num_attention_heads = 2;
  p.model.q_lora_rank = 32;
  p.model.kv_lora_rank = 32;
  p.model.nope_head_dim = 16;
  p.model.rope_head_dim = 16;
  p.model.v_head_dim = 32;
  p.model.num_routed_experts = 4;
  p.model.expert_intermediate_size = 64;
  p.training = {
      .steps = 100, .batch = 8, .lr = 3e-3, .warmup = 10, .log_every = 10, .sample_every = 50, .sample_tokens = 120};
  return p;
}

Preset shakespeare_cpu() {
  Preset p{.name = "shakespeare-cpu",
           .summary = "learns Shakespeare on two CPU cores in minutes",
           .model = {},
           .training = {}};
  p.model.context = 128;
  p.model.hidden_size = 128;
  p.model.num_hidden_layers = 4;
  p.model.num_attention_heads = 4;
  p.model.q_lora_rank = 64;
  p.model.kv_lora_rank = 64;
  p.model.nope_head_dim = 32;
  p.model.rope_head_dim = 16;
  p.model.v_head_dim = 32;
  p.model.expert_intermediate_size = 128;
  p.model.init_std = 0.04;
  p.training = {.steps = 1200,
                .batch = 16,
                .optimizer = "muon",
                .lr = 4e-3,
                .muon_lr = 8e-3,
                .muon_iterations = 4,
                .muon_block = 96,
                .lr_floor = 0.05,
                .warmup = 50,
                .sampling = "epochs",
                .log_every = 50,
                .validate_every = 600,
                .sample_every = 300,
                .sample_tokens = 400};
  return p;
}

Preset shakespeare_half_hour() {
  Preset p = shakespeare_cpu();
  p.name = "shakespeare-half-hour";
  p.summary = "what two CPU cores learn in half an hour: more than nanoGPT's baby GPT";
  p.model.context = 256;
  p.model.hidden_size = 192;
  p.model.num_hidden_layers = 6;
  p.model.q_lora_rank = 96;
  p.model.kv_lora_rank = 96;
  p.model.v_head_dim = 48;
  p.model.expert_intermediate_size = 192;
  p.model.dropout = 0.1;
  p.training.steps = 2100;
  p.training.validate_every = 700;
  p.training.sample_every = 700;
  return p;
}

Preset shakespeare_char() {
  Preset p{
      .name = "shakespeare-char", .summary = "the full character model: 18.3M parameters", .model = {}, .training = {}};
  p.training = {.steps = 1000,
                .batch = 16,
                .lr = 2e-3,
                .warmup = 50,
                .log_every = 10,
                .validate_every = 200,
                .sample_every = 200,
                .sample_tokens = 400};
  return p;  // the defaults of DeepSeekConfig are this model
}

Preset deepseek_shakespeare_v3() {
  Preset p{.name = "deepseek-shakespeare-v3",
           .summary = "the sizes of deepseek-shakespeare with V3's shared rotary key and selection-only bias",
           .model = {},
           .training = {},
           .fits_vocabulary = false};
  p.model.vocab_size = 49152;
  p.model.hidden_size = 576;
  p.model.num_hidden_layers = 30;
  p.model.num_attention_heads = 9;
  p.model.num_shared_experts = 2;
  p.model.expert_intermediate_size = 384;
  p.model.tie_embeddings = false;
  p.training = {.steps = 10000,
                .batch = 16,
                .accumulate = 4,
                .lr = 3e-4,
                .warmup = 100,
                .log_every = 1,
                .validate_every = 500,
                .sample_every = 500};
  return p;
}

Preset deepseek_shakespeare() {
  Preset p = deepseek_shakespeare_v3();
  p.name = "deepseek-shakespeare";
  p.summary = "the full-size variant: per-head rotary key, biased-logit gate, untied";
  p.model.rotary_key = RotaryKey::per_head;
  p.model.rope_pairs = RopePairs::rotate_half;
  p.model.gate = Gate::biased_logits;
  return p;
}

void parse(const std::string&, const std::string& text, std::string& value) { value = text; }

template <class T>
void parse(const std::string& key, const std::string& text, T& value) {
  T parsed{};
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), parsed);
  require(problem == std::errc() && end == text.data() + text.size(), [&] {
    return key + " takes " + (std::is_integral_v<T> ? "a whole number" : "a number") + ", not '" + text + "'";
  });
  value = parsed;
}

}  // namespace

void Preset::set(const std::string& key, const std::string& value) {
  bool found = false;
  std::string known;
  TrainSettings::visit(training, [&](const char* name, auto& setting) {
    known += std::string(known.empty() ? "" : ", ") + name;
    if (key != name) return;
    parse(key, value, setting);
    found = true;
  });
  if (found) return;
  const auto model_keys = model.key_values();
  for (const auto& [name, text] : model_keys) known += ", " + name;
  require(model_keys.contains(key), [&] { return "unknown setting '" + key + "'; known are: " + known; });
  model.set(key, value);
  if (key == "vocab_size") fits_vocabulary = false;
}

void Preset::set(const std::string& pair) {
  const auto equals = pair.find('=');
  require(equals != std::string::npos, [&] { return "--set takes key=value, not '" + pair + "'"; });
  set(pair.substr(0, equals), pair.substr(equals + 1));
}

const std::vector<Preset>& all_presets() {
  static const std::vector<Preset> presets = {tiny(),
                                              shakespeare_cpu(),
                                              shakespeare_half_hour(),
                                              shakespeare_char(),
                                              deepseek_shakespeare(),
                                              deepseek_shakespeare_v3()};
  return presets;
}

Preset find_preset(const std::string& name) {
  const auto& presets = all_presets();
  const auto found = std::find_if(presets.begin(), presets.end(), [&](const Preset& p) { return p.name == name; });
  require(found != presets.end(), [&] {
    std::string names;
    for (const Preset& p : presets) names += (names.empty() ? "" : ", ") + p.name;
    return "no preset '" + name + "'; there are " + names;
  });
  return *found;
}

}  // namespace folio::examples
