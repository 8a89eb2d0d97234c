// Ops that multiply matrices: every product of a layer and of the head.
#include <cmath>

#include "tests/bench/work.hpp"

namespace folio::bench {
namespace {

using Works = std::vector<Work>;

Work product(const std::string& name, const Shape& a, const Shape& b) {
  return {name,
          [=](Source& draw) -> Tensors {
            return {draw.normal(a), draw.normal(b)};
          },
          [](const Tensors& t) -> Tensors { return {matmul(t[0], t[1])}; }};
}

/// Rows that every expert has its share of, as a balanced router deals them.
Work grouped(const std::string& name, const Sizes& s, std::int64_t in, std::int64_t out) {
  const Shape chosen = {s.tokens(), s.model.num_active_experts};
  return {name,
          [=, rows = s.rows(), experts = s.model.num_routed_experts](Source& draw) -> Tensors {
            return {draw.normal({rows, in}), draw.normal({experts, out, in}),
                    route(draw.indices(chosen, experts), experts).offsets};
          },
          [](const Tensors& t) -> Tensors { return {expert_matmul(t[0], t[1], t[2])}; }};
}

}  // namespace

Works work_of_matmul(const Sizes& s) {
  const std::int64_t width = s.model.hidden_size, heads = s.batch * s.model.num_attention_heads;
  const std::int64_t context = s.model.context, head = s.model.q_head_dim();
  return {product("square", {s.tokens(), width}, {width, width}),
          product("scores", {heads, context, head}, {heads, head, context}),
          product("one_row", {1, width}, {width, width})};
}

Works work_of_linear(const Sizes& s) {
  const DeepSeekConfig& c = s.model;
  const auto projection = [&](const std::string& name, std::int64_t in, std::int64_t out) -> Work {
    return {name,
            [=, rows = s.tokens()](Source& draw) -> Tensors {
              return {draw.normal({rows, in}), draw.normal({out, in})};
            },
            [](const Tensors& t) -> Tensors { return {linear(t[0], t[1])}; }};
  };
  const std::int64_t heads = c.num_attention_heads, shared = c.num_shared_experts * c.expert_intermediate_size;
  return {projection("q_a", c.hidden_size, c.q_lora_rank),
          projection("q_b", c.q_lora_rank, heads * c.q_head_dim()),
          projection("kv_a", c.hidden_size, c.kv_lora_rank + c.rope_head_dim),
          projection("kv_b", c.kv_lora_rank, heads * (c.nope_head_dim + c.v_head_dim)),
          projection("o", heads * c.v_head_dim, c.hidden_size),
          projection("router", c.hidden_size, c.num_routed_experts),
          projection("shared_up", c.hidden_size, shared),
          projection("shared_down", shared, c.hidden_size),
          projection("head", c.hidden_size, c.vocab_size)};
}

Works work_of_expert_matmul(const Sizes& s) {
  const std::int64_t width = s.model.hidden_size, inner = s.model.expert_intermediate_size;
  return {grouped("gate_up", s, width, 2 * inner), grouped("down", s, inner, width)};
}

Works work_of_causal_attention(const Sizes& s) {
  const DeepSeekConfig& c = s.model;
  return {{"",
           [=](Source& draw) -> Tensors {
             return {draw.normal(s.heads(c.q_head_dim())), draw.normal(s.heads(c.nope_head_dim)),
                     draw.normal(s.heads(c.v_head_dim)), draw.normal({s.batch, c.context, c.rope_head_dim})};
           },
           [scale = 1 / std::sqrt(static_cast<double>(c.q_head_dim()))](const Tensors& t) -> Tensors {
             return {causal_attention(t[0], t[1], t[2], t[3], scale)};
           }}};
}

}  // namespace folio::bench
