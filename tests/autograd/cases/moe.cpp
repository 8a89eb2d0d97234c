#include "tests/autograd/op_case.hpp"

namespace folio::testing {
namespace {

/// Chosen experts (tokens, k), of whom some are chosen by nobody now and then. Tokens may be 0.
struct Choice {
  Tensor chosen;
  std::int64_t experts;
  bool some_empty;
};
Choice choose(Draw& draw) {
  const std::int64_t tokens = draw.extent(), k = draw.integer(1, 3), experts = draw.integer(1, 6);
  const std::int64_t used = draw.chance(0.3) ? draw.integer(1, experts) : experts;
  Choice c = {draw.indices({tokens, k}, used), experts, false};
  const Tensor offsets = route(c.chosen, experts).offsets;
  for (std::int64_t e = 0; e < experts; ++e) {
    c.some_empty = c.some_empty || offsets.data<std::int32_t>()[e] == offsets.data<std::int32_t>()[e + 1];
  }
  return c;
}

std::string text_of(const Choice& c) {
  return to_string(c.chosen.shape()) + " chosen of " + std::to_string(c.experts) + " experts";
}

}  // namespace

Problem draw_dispatch_rows(Draw& draw) {
  const Choice c = choose(draw);
  const Tensor x = draw.normal({c.chosen.dim(0), draw.extent()});  // (tokens, d)
  return {.inputs = {x, c.chosen},
          .f = [n = c.experts](const Tensors& t) -> Tensors { return {dispatch_rows(t[0], route(t[1], n))}; },
          .composed = [n = c.experts](const Tensors& t) -> Tensors {
            return {embedding(t[0], route(t[1], n).token_of_row)};
          },
          .description = to_string(x.shape()) + ", " + text_of(c),
          .masked = c.some_empty};
}

Problem draw_combine_rows(Draw& draw) {
  const Choice c = choose(draw);
  const Tensor rows = draw.normal({c.chosen.numel(), draw.extent()});  // (tokens·k, d)
  return {.inputs = {rows, draw.normal(c.chosen.shape()), c.chosen},
          .f = [n = c.experts](const Tensors& t) -> Tensors { return {combine_rows(t[0], t[1], route(t[2], n))}; },
          .composed = [n = c.experts](const Tensors& t) -> Tensors {
            const Tensor picked = embedding(t[0], route(t[2], n).row_of);  // (tokens, k, d)
            return {sum(picked * t[1].reshape({t[1].dim(0), t[1].dim(1), 1}), {1})};
          },
          .description = to_string(rows.shape()) + ", " + text_of(c),
          .masked = c.some_empty};
}

Problem draw_expert_matmul(Draw& draw) {
  const Choice c = choose(draw);
  const std::int64_t rows = c.chosen.numel(), in = draw.extent(), out = draw.extent();
  return {.inputs = {draw.normal({rows, in}), draw.normal({c.experts, out, in}), route(c.chosen, c.experts).offsets},
          .f = [](const Tensors& t) -> Tensors { return {expert_matmul(t[0], t[1], t[2])}; },
          .composed = [=](const Tensors& t) -> Tensors {
            const std::vector<double> at = t[2].to_vector();
            Tensors parts;
            for (std::int64_t e = 0; e < c.experts; ++e) {
              const auto i = static_cast<std::size_t>(e);
              const Tensor mine =
                  slice(t[0], 0, static_cast<std::int64_t>(at[i]), static_cast<std::int64_t>(at[i + 1]));
              parts.push_back(linear(mine, slice(t[1], 0, e, e + 1).reshape({out, in})));
            }
            return {concat(parts, 0)};
          },
          .description = std::to_string(in) + " to " + std::to_string(out) + ", " + text_of(c),
          .masked = c.some_empty};
}

}  // namespace folio::testing
