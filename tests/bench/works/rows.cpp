// Ops that move rows, look at a tensor in another way, or normalise rows.
#include "nn/router.hpp"
#include "tests/bench/work.hpp"

namespace folio::bench {
namespace {

using Works = std::vector<Work>;

Work of(const std::string& name, const Shape& shape, Function f) {
  return {name, [=](Source& draw) -> Tensors { return {draw.normal(shape)}; }, std::move(f)};
}

/// The tensors, and behind them those of a Routing that is as good as balanced.
Tensors with_routing(Tensors tensors, const Sizes& s, Source& draw) {
  const std::int64_t experts = s.model.num_routed_experts;
  const Routing routing = route(draw.indices({s.tokens(), s.model.num_active_experts}, experts), experts);
  tensors.insert(tensors.end(), {routing.offsets, routing.token_of_row, routing.row_of});
  return tensors;
}

}  // namespace

Works work_of_choose_experts(const Sizes& s) {
  return {
      {"",
       [=](Source& draw) -> Tensors {
         return {draw.normal({s.tokens(), s.model.num_routed_experts}), draw.positive({s.model.num_routed_experts})};
       },
       [options = gate_options(s.model)](const Tensors& t) -> Tensors {
         const Tensor bias = t[1].detach();
         const Gating gating = choose_experts(t[0], is_half(bias.dtype()) ? bias.to(DType::float32) : bias, options);
         return {gating.scores, gating.weights};
       }}};
}

Works work_of_dispatch_rows(const Sizes& s) {
  return {{"",
           [=](Source& draw) -> Tensors {
             return with_routing({draw.normal({s.tokens(), s.model.hidden_size})}, s, draw);
           },
           [](const Tensors& t) -> Tensors {
             return {dispatch_rows(t[0], {t[1], t[2], t[3]})};
           }}};
}

Works work_of_combine_rows(const Sizes& s) {
  return {{"",
           [=](Source& draw) -> Tensors {
             return with_routing({draw.normal({s.rows(), s.model.hidden_size}),
                                  draw.positive({s.tokens(), s.model.num_active_experts})},
                                 s, draw);
           },
           [](const Tensors& t) -> Tensors {
             return {combine_rows(t[0], t[1], {t[2], t[3], t[4]})};
           }}};
}

Works work_of_reshape(const Sizes& s) {
  return {of("", s.stream(), [shape = Shape{s.tokens(), s.model.hidden_size}](const Tensors& t) -> Tensors {
    return {reshape(t[0], shape)};
  })};
}
Works work_of_permute(const Sizes& s) {
  return {of("", s.heads(s.model.v_head_dim), [](const Tensors& t) -> Tensors {
    return {permute(t[0], {0, 2, 1, 3})};
  })};
}
Works work_of_slice(const Sizes& s) {
  return {of("", s.stream(),
             [half = s.model.hidden_size / 2](const Tensors& t) -> Tensors { return {slice(t[0], -1, 0, half)}; })};
}
Works work_of_split(const Sizes& s) {
  const std::int64_t inner = s.model.expert_intermediate_size;
  return {of("", {s.rows(), 2 * inner}, [=](const Tensors& t) -> Tensors { return split(t[0], {inner, inner}, -1); })};
}
Works work_of_expand(const Sizes& s) {
  return {of("", {s.model.hidden_size},
             [shape = s.stream()](const Tensors& t) -> Tensors { return {expand(t[0], shape)}; })};
}
Works work_of_contiguous(const Sizes& s) {
  return {{"",
           [=](Source& draw) -> Tensors {
             return {draw.normal(s.heads(s.model.v_head_dim)).permute({0, 2, 1, 3})};
           },
           [](const Tensors& t) -> Tensors { return {contiguous(t[0])}; }}};
}
Works work_of_concat(const Sizes& s) {
  return {{"",
           [=](Source& draw) -> Tensors {
             return {draw.normal(s.heads(s.model.nope_head_dim)), draw.normal(s.heads(s.model.rope_head_dim))};
           },
           [](const Tensors& t) -> Tensors {
             return {concat({t[0], t[1]}, -1)};
           }}};
}

Works work_of_gather(const Sizes& s) {
  const std::int64_t experts = s.model.num_routed_experts;
  return {
      {"",
       [=](Source& draw) -> Tensors {
         return {draw.normal({s.tokens(), experts}), draw.indices({s.tokens(), s.model.num_active_experts}, experts)};
       },
       [](const Tensors& t) -> Tensors { return {gather(t[0], -1, t[1])}; }}};
}
Works work_of_index_add(const Sizes& s) {
  const Shape stream = {s.tokens(), s.model.hidden_size};
  return {{"",
           [=](Source& draw) -> Tensors {
             return {draw.normal(stream), draw.indices({s.tokens()}, s.tokens()), draw.normal(stream)};
           },
           [](const Tensors& t) -> Tensors { return {index_add(t[0], t[1], t[2])}; }}};
}
Works work_of_embedding(const Sizes& s) {
  return {{"",
           [=](Source& draw) -> Tensors {
             return {draw.normal({s.model.vocab_size, s.model.hidden_size}),
                     draw.indices({s.batch, s.model.context}, s.model.vocab_size)};
           },
           [](const Tensors& t) -> Tensors { return {embedding(t[0], t[1])}; }}};
}

Works work_of_softmax(const Sizes& s) {
  return {of("", s.logits(), [](const Tensors& t) -> Tensors { return {softmax(t[0])}; })};
}
Works work_of_log_softmax(const Sizes& s) {
  return {of("", s.logits(), [](const Tensors& t) -> Tensors { return {log_softmax(t[0])}; })};
}
Works work_of_cross_entropy(const Sizes& s) {
  return {{"",
           [=](Source& draw) -> Tensors {
             return {draw.normal(s.logits()), draw.indices({s.tokens()}, s.model.vocab_size)};
           },
           [](const Tensors& t) -> Tensors { return {cross_entropy(t[0], t[1])}; }}};
}
Works work_of_rms_norm(const Sizes& s) {
  return {{"",
           [=](Source& draw) -> Tensors {
             return {draw.normal(s.stream()), draw.positive({s.model.hidden_size})};
           },
           [](const Tensors& t) -> Tensors { return {rms_norm(t[0], t[1])}; }}};
}
Works work_of_rope(const Sizes& s) {
  return {of("", s.heads(s.model.q_head_dim()),
             [skip = s.model.nope_head_dim](const Tensors& t) -> Tensors { return {rope(t[0], {.skip = skip})}; })};
}
/// The halves of one product, as the experts hand them over.
Works work_of_swiglu(const Sizes& s) {
  const std::int64_t inner = s.model.expert_intermediate_size;
  return {{"",
           [=](Source& draw) -> Tensors {
             return split(draw.normal({s.rows(), 2 * inner}), {inner, inner}, -1);
           },
           [](const Tensors& t) -> Tensors { return {swiglu(t[0], t[1])}; }}};
}

}  // namespace folio::bench
