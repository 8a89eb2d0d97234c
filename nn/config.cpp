#include "nn/config.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <sstream>
#include <string_view>
#include <utility>
#include <vector>

#include "autograd/error.hpp"
#include "nn/bias_scheme.hpp"

namespace folio {
namespace {

template <class E>
using Names = std::vector<std::pair<const char*, E>>;

const Names<RotaryKey>& names_of(RotaryKey) {
  static const Names<RotaryKey> names = {{"shared", RotaryKey::shared}, {"per_head", RotaryKey::per_head}};
  return names;
}
const Names<RopePairs>& names_of(RopePairs) {
  static const Names<RopePairs> names = {{"interleaved", RopePairs::interleaved},
                                         {"rotate_half", RopePairs::rotate_half}};
  return names;
}
const Names<Score>& names_of(Score) {
  static const Names<Score> names = {
      {"sigmoid", Score::sigmoid}, {"softmax", Score::softmax}, {"sqrt_softplus", Score::sqrt_softplus}};
  return names;
}
const Names<Gate>& names_of(Gate) {
  static const Names<Gate> names = {{"selection_bias", Gate::selection_bias}, {"biased_logits", Gate::biased_logits}};
  return names;
}
const Names<GroupScore>& names_of(GroupScore) {
  static const Names<GroupScore> names = {{"top2_sum", GroupScore::top2_sum}, {"max", GroupScore::max}};
  return names;
}
const Names<DType>& names_of(DType) {
  static const Names<DType> names = {{"f32", DType::float32}, {"bf16", DType::bfloat16}, {"f16", DType::float16}};
  return names;
}
const Names<bool>& names_of(bool) {
  static const Names<bool> names = {{"true", true}, {"false", false}};
  return names;
}

[[noreturn]] void reject(const std::string& key, const std::string& value, const std::string& wanted) {
  throw Error("configuration: " + key + " = '" + value + "': needs " + wanted);
}

template <class T>
void parse(const std::string& key, const std::string& text, T& value) {
  if constexpr (std::is_same_v<T, std::string>) {
    value = text;
  } else if constexpr (std::is_same_v<T, std::int64_t> || std::is_same_v<T, double>) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || text.empty()) {
      reject(key, text, std::is_same_v<T, double> ? "a number" : "a whole number");
    }
  } else {
    std::string wanted;
    for (const auto& [name, entry] : names_of(value)) {
      if (text == name) {
        value = entry;
        return;
      }
      wanted += (wanted.empty() ? "" : " or ") + std::string(name);
    }
    reject(key, text, wanted);
  }
}

template <class T>
std::string print(const T& value) {
  if constexpr (std::is_same_v<T, std::string>) {
    return value;
  } else if constexpr (std::is_same_v<T, std::int64_t>) {
    return std::to_string(value);
  } else if constexpr (std::is_same_v<T, double>) {
    std::array<char, 32> text{};
    return {text.data(), std::to_chars(text.data(), text.data() + text.size(), value).ptr};
  } else {
    for (const auto& [name, entry] : names_of(value)) {
      if (value == entry) return name;
    }
    return "?";
  }
}

/// Calls visit(name, field) for every key, in the order of the struct.
template <class Config, class Visit>
void for_each_key(Config& c, Visit&& visit) {
#define KEY(name) visit(#name, c.name)
  KEY(vocab_size);
  KEY(context);
  KEY(hidden_size);
  KEY(num_hidden_layers);
  KEY(num_attention_heads);
  KEY(q_lora_rank);
  KEY(kv_lora_rank);
  KEY(nope_head_dim);
  KEY(rope_head_dim);
  KEY(v_head_dim);
  KEY(rotary_key);
  KEY(rope_pairs);
  KEY(rope_base);
  KEY(num_shared_experts);
  KEY(num_routed_experts);
  KEY(num_active_experts);
  KEY(expert_intermediate_size);
  KEY(first_k_dense);
  KEY(dense_intermediate_size);
  KEY(score);
  KEY(gate);
  KEY(norm_topk_prob);
  KEY(routed_scaling_factor);
  KEY(n_group);
  KEY(topk_group);
  KEY(group_score);
  KEY(sequence_loss_alpha);
  KEY(bias_scheme);
  KEY(bias_rate);
  KEY(tie_embeddings);
  KEY(dropout);
  KEY(init_std);
  KEY(rms_norm_eps);
  KEY(dtype);
#undef KEY
}

template <class... Parts>
void check(bool condition, Parts&&... parts) {
  require(condition, [&] {
    std::ostringstream text;
    text << "configuration: ";
    (text << ... << parts);
    return text.str();
  });
}

// So large that no model needs more, and so small that products of a few of them do not overflow.
constexpr std::int64_t most_wide = 1 << 24, most_layers = 10'000, most_heads_or_experts = 1 << 16;

void check_at_most(std::int64_t value, const char* key, std::int64_t most) {
  check(value <= most, key, " is ", value, ", it must be at most ", most);
}

void check_positive(std::int64_t value, const char* key, std::int64_t most = most_wide) {
  check(value > 0, key, " is ", value, ", it must be at least 1");
  check_at_most(value, key, most);
}

template <class Number>
struct Counted {
  Number total, active, matrices;
};

/// In double what might not fit into an integer.
template <class Number>
Counted<Number> count(const DeepSeekConfig& c) {
  const auto n = [](std::int64_t value) { return static_cast<Number>(value); };
  const Number d = n(c.hidden_size), heads = n(c.num_attention_heads), q_width = heads * n(c.q_head_dim());
  const Number q_rank = n(c.q_lora_rank), kv_rank = n(c.kv_lora_rank), rope = n(c.rope_head_dim),
               v_width = heads * n(c.v_head_dim);
  const bool shared_key = c.rotary_key == RotaryKey::shared;
  const Number q = c.q_lora_rank > 0 ? d * q_rank + q_rank * q_width : d * q_width;
  const Number kv_a = d * (kv_rank + (shared_key ? rope : 0));
  const Number kv_b = kv_rank * (heads * n(c.nope_head_dim) + v_width);
  const Number w_ur = shared_key ? 0 : kv_rank * heads * rope;
  const Number attention = q + kv_a + kv_b + w_ur + v_width * d;
  const Number norms = 2 * d + q_rank + kv_rank;

  const std::int64_t dense = std::min(c.first_k_dense, c.num_hidden_layers), sparse = c.num_hidden_layers - dense;
  const Number expert = 3 * d * n(c.expert_intermediate_size);
  const Number outside = n(c.vocab_size) * d * (c.tie_embeddings ? 1 : 2) + d;  // embedding, head, final norm
  const Number others = outside + n(c.num_hidden_layers) * norms + n(sparse) * n(c.num_routed_experts) * d;  // routers
  const auto with_experts = [&](std::int64_t routed) {
    return n(c.num_hidden_layers) * attention + n(dense) * 3 * d * n(c.dense_intermediate_size) +
           n(sparse) * n(c.num_shared_experts + routed) * expert;
  };
  const Number matrices = with_experts(c.num_routed_experts);
  return {others + matrices, others + with_experts(c.num_active_experts), matrices};
}

void validate_experts(const DeepSeekConfig& c) {
  check_positive(c.num_routed_experts, "num_routed_experts", most_heads_or_experts);
  check_positive(c.num_active_experts, "num_active_experts");
  check_positive(c.expert_intermediate_size, "expert_intermediate_size");
  check(c.num_shared_experts >= 0, "num_shared_experts is ", c.num_shared_experts, ", it must not be negative");
  check_at_most(c.num_shared_experts, "num_shared_experts", most_heads_or_experts);
  check(c.num_active_experts <= c.num_routed_experts, "num_active_experts is ", c.num_active_experts,
        " but there are only ", c.num_routed_experts, " routed experts");
  check_positive(c.n_group, "n_group");
  check_positive(c.topk_group, "topk_group");
  check(c.num_routed_experts % c.n_group == 0, "num_routed_experts ", c.num_routed_experts,
        " does not divide into n_group ", c.n_group, " equal groups");
  check(c.topk_group <= c.n_group, "topk_group is ", c.topk_group, " but n_group is ", c.n_group);
  const std::int64_t per_group = c.num_routed_experts / c.n_group;
  check(c.topk_group * per_group >= c.num_active_experts, "topk_group ", c.topk_group, " groups of ", per_group,
        " experts hold fewer than num_active_experts ", c.num_active_experts);
  check(std::isfinite(c.routed_scaling_factor) && c.routed_scaling_factor > 0, "routed_scaling_factor is ",
        c.routed_scaling_factor, ", it must be positive");
  check(std::isfinite(c.sequence_loss_alpha) && c.sequence_loss_alpha >= 0, "sequence_loss_alpha is ",
        c.sequence_loss_alpha, ", it must not be negative");
  check(c.bias_rate >= 0 && c.bias_rate <= 1, "bias_rate is ", c.bias_rate, ", it must be in [0, 1]");
  make_bias_scheme(c.bias_scheme, c.bias_rate);
}

}  // namespace

void DeepSeekConfig::validate() const {
  check_positive(vocab_size, "vocab_size");
  check_positive(context, "context");
  check_positive(hidden_size, "hidden_size");
  check_positive(num_hidden_layers, "num_hidden_layers", most_layers);
  check_positive(num_attention_heads, "num_attention_heads", most_heads_or_experts);
  check(q_lora_rank >= 0, "q_lora_rank is ", q_lora_rank, ", it must not be negative (0 means one q projection)");
  check_at_most(q_lora_rank, "q_lora_rank", most_wide);
  check_positive(kv_lora_rank, "kv_lora_rank");
  check_positive(nope_head_dim, "nope_head_dim");
  check_positive(rope_head_dim, "rope_head_dim");
  check(rope_head_dim % 2 == 0, "rope_head_dim is ", rope_head_dim, ", rotary embedding turns pairs: it must be even");
  check_positive(v_head_dim, "v_head_dim");
  check(std::isfinite(rope_base) && rope_base > 0, "rope_base is ", rope_base, ", it must be positive");
  check(first_k_dense >= 0, "first_k_dense is ", first_k_dense, ", it must not be negative");
  check(first_k_dense <= num_hidden_layers, "first_k_dense is ", first_k_dense, " but num_hidden_layers is ",
        num_hidden_layers);
  check(dense_intermediate_size >= 0, "dense_intermediate_size is ", dense_intermediate_size,
        ", it must not be negative");
  check_at_most(dense_intermediate_size, "dense_intermediate_size", most_wide);
  if (first_k_dense > 0) check_positive(dense_intermediate_size, "dense_intermediate_size");
  validate_experts(*this);
  check(dropout >= 0 && dropout < 1, "dropout is ", dropout, ", it must be in [0, 1)");
  check(std::isfinite(init_std) && init_std >= 0, "init_std is ", init_std, ", it must not be negative");
  check(rms_norm_eps > 0 && rms_norm_eps <= 1, "rms_norm_eps is ", rms_norm_eps, ", it must be in (0, 1]");
  check(dtype == DType::float32 || is_half(dtype), "dtype is ", name_of(dtype), ", it must be f32, bf16 or f16");
  check(count<double>(*this).total < 0x1p62, "sizes that make 2^62 parameters or more");
}

void DeepSeekConfig::set(const std::string& key, const std::string& value) {
  bool found = false;
  for_each_key(*this, [&](std::string_view name, auto& field) {
    if (name != key) return;
    parse(key, value, field);
    found = true;
  });
  require(found, [&] { return "configuration: unknown key '" + key + "'"; });
}

std::map<std::string, std::string> DeepSeekConfig::key_values() const {
  std::map<std::string, std::string> all;
  for_each_key(*this, [&](const char* name, const auto& field) { all[name] = print(field); });
  return all;
}

ParameterCount count_parameters(const DeepSeekConfig& c) {
  const auto [total, active, matrices] = count<std::int64_t>(c);
  return {total, active, matrices};
}

}  // namespace folio
