#include <cmath>
#include <vector>

#include "tests/autograd/op_case.hpp"

namespace folio::testing {
namespace {

/// 0 where query t may see key s, hopeless elsewhere: (T, T + offset).
Tensor mask(std::int64_t queries, std::int64_t offset, Options place) {
  const std::int64_t keys = queries + offset;
  std::vector<double> values;
  for (std::int64_t i = 0; i < queries * keys; ++i) values.push_back(i % keys <= i / keys + offset ? 0 : -1e30);
  return from_vector(values, {queries, keys}, place);
}

/// The formula of causal_attention, an op at a time, with every score stored.
Tensor attend(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& shared_key, double factor,
              std::int64_t offset) {
  Tensor key = k;
  if (shared_key.defined()) {
    const std::int64_t batch = k.dim(0), keys = k.dim(1), rope = shared_key.dim(2);
    key = concat({k, expand(reshape(shared_key, {batch, keys, 1, rope}), {batch, keys, k.dim(2), rope})}, 3);
  }
  const Tensor scores = scale(matmul(permute(q, {0, 2, 1, 3}), permute(key, {0, 2, 3, 1})), factor);  // (B, H, T, S)
  const Tensor p = softmax(scores + mask(q.dim(1), offset, q.options()));
  return permute(matmul(p, permute(v, {0, 2, 1, 3})), {0, 2, 1, 3});  // (B, T, H, V)
}

}  // namespace

Problem draw_causal_attention(Draw& draw) {
  const bool several_blocks = draw.chance(0.1);
  const std::int64_t batch = several_blocks ? 1 : draw.extent(), heads = several_blocks ? 1 : draw.extent();
  const std::int64_t queries = several_blocks ? draw.integer(65, 140) : draw.extent();
  const std::int64_t offset = draw.chance(0.5) ? draw.integer(1, 4) : 0, keys = queries + offset;
  const bool shares = draw.chance(0.6);
  const std::int64_t rope = shares ? draw.extent() : 0;
  const std::int64_t own = draw.extent(), out = draw.extent();
  const double factor = (draw.chance(0.2) ? -1 : 1) / std::sqrt(static_cast<double>(own + rope + 1));
  Tensors inputs = {draw.normal({batch, queries, heads, own + rope}), draw.normal({batch, keys, heads, own}),
                    draw.normal({batch, keys, heads, out})};
  if (shares) inputs.push_back(draw.normal({batch, keys, rope}));
  const auto shared_of = [=](const Tensors& x) { return shares ? x[3] : Tensor(); };
  return {
      .inputs = inputs,
      .f = [=](const Tensors& x) -> Tensors {
        return {causal_attention(x[0], x[1], x[2], shared_of(x), factor, offset)};
      },
      .composed = [=](const Tensors& x) -> Tensors { return {attend(x[0], x[1], x[2], shared_of(x), factor, offset)}; },
      .description = "q " + to_string(inputs[0].shape()) + ", v " + to_string(inputs[2].shape()) + ", offset " +
                     std::to_string(offset) + (shares ? ", shared key of " + std::to_string(rope) : ""),
      .masked = queries > 1};
}

}  // namespace folio::testing
