#include "tests/autograd/op_case.hpp"

namespace folio::testing {
namespace {

/// Logits within ±3 and the dimension over which they are normalised.
struct Logits {
  Tensor x;
  int dim;
};
Logits logits(Draw& draw) {
  const Shape shape = draw.shape(1, 4);
  const int dim = static_cast<int>(draw.integer(0, shape.size() - 1));
  return {draw.uniform(shape, -3, 3), draw.chance(0.5) ? dim : dim - shape.size()};
}

std::string text_of(const Logits& l) { return to_string(l.x.shape()) + " along " + std::to_string(l.dim); }

}  // namespace

Problem draw_softmax(Draw& draw) {
  const Logits l = logits(draw);
  return {.inputs = {l.x},
          .f = [dim = l.dim](const Tensors& x) -> Tensors { return {softmax(x[0], dim)}; },
          .composed = [dim = l.dim](const Tensors& x) -> Tensors {
            const Tensor e = exp(x[0]);
            return {e / sum(e, {dim}, true)};
          },
          .description = text_of(l)};
}

Problem draw_log_softmax(Draw& draw) {
  const Logits l = logits(draw);
  return {.inputs = {l.x},
          .f = [dim = l.dim](const Tensors& x) -> Tensors { return {log_softmax(x[0], dim)}; },
          .composed = [dim = l.dim](const Tensors& x) -> Tensors {
            if (x[0].numel() == 0) return {exp(x[0])};
            const Tensor shifted = x[0] - amax(x[0], {dim}, true).detach();
            return {shifted - log(sum(exp(shifted), {dim}, true))};
          },
          .description = text_of(l)};
}

// Two classes at least, since one has no loss. Some targets are ignored now and then, all of them included.
Problem draw_cross_entropy(Draw& draw) {
  Shape rows = draw.shape(0, 2);
  const std::int64_t classes = 1 + draw.extent(false), count = numel(rows);
  const CrossEntropyOptions options = {.ignored = draw.chance(0.5) ? -100 : 0,
                                       .label_smoothing = draw.chance(0.5) ? 0.1 * draw.integer(1, 9) : 0};
  const Tensor drawn = draw.indices({count}, classes);
  const double ignoring = draw.chance(0.4) ? draw.chance(0.2) ? 1 : 0.4 : 0;
  std::vector<std::int32_t> targets, kept, kept_targets;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto target =
        draw.chance(ignoring) ? static_cast<std::int32_t>(options.ignored) : drawn.data<std::int32_t>()[i];
    targets.push_back(target);
    if (target == options.ignored) continue;
    kept.push_back(static_cast<std::int32_t>(i));
    kept_targets.push_back(target);
  }
  const auto n = static_cast<std::int64_t>(kept.size());
  const Tensor rows_kept = from_indices(kept, {n}), target_of_kept = from_indices(kept_targets, {n, 1});
  Shape shape = rows;
  shape.push_back(classes);
  return {
      .inputs = {draw.uniform(shape, -3, 3), from_indices(targets, rows).to(n % 2 == 1 ? DType::int64 : DType::int32)},
      .f = [=](const Tensors& x) -> Tensors { return {cross_entropy(x[0], x[1], options)}; },
      .composed = [=](const Tensors& x) -> Tensors {
        const Tensor flat = x[0].reshape({count, classes});
        const Tensor log_p = log_softmax(embedding(flat, rows_kept.to(x[0].device())));  // (n, classes)
        const Tensor matched = gather(log_p, -1, target_of_kept.to(x[0].device()));      // (n, 1)
        const double e = options.label_smoothing, c = static_cast<double>(classes);
        const Tensor total = sum(matched) * (e - 1) - sum(log_p) * (e / c);
        return {n > 0 ? total / static_cast<double>(n) : total};
      },
      .description = to_string(shape) + ", " + std::to_string(count - n) + " ignored, smoothing " +
                     std::to_string(options.label_smoothing),
      .masked = n < count};
}

}  // namespace folio::testing
