#include "data/batches.hpp"

#include <algorithm>
#include <range/v3/range/conversion.hpp>
#include <range/v3/view/iota.hpp>
#include <range/v3/view/transform.hpp>
#include <string>

#include "autograd/error.hpp"
#include "data/shuffle.hpp"

namespace folio::data {
namespace {

namespace views = ranges::views;

void demand(std::span<const std::int32_t> tokens, std::int64_t batch, std::int64_t context, std::int64_t least) {
  require(batch > 0 && context > 0, [&] {
    return "batches: batch " + std::to_string(batch) + " and context " + std::to_string(context) +
           ": both must be positive";
  });
  require(std::ssize(tokens) >= least, [&] {
    return "batches: " + std::to_string(tokens.size()) + " tokens where a context of " + std::to_string(context) +
           " needs " + std::to_string(least) + ": give a longer text or a shorter context";
  });
}

}  // namespace

RandomBatches::RandomBatches(std::span<const std::int32_t> tokens, std::int64_t batch, std::int64_t context,
                             std::uint64_t seed, Sampling sampling, std::uint64_t stream)
    : tokens_(tokens), batch_(batch), context_(context), sampling_(sampling), stream_{seed, stream} {
  demand(tokens, batch, context, context + 1);
  windows_ = std::max<std::int64_t>(1, (std::ssize(tokens) - 1) / context - 1);
}

std::int64_t RandomBatches::start(std::int64_t draw) const {
  const auto below = [&](std::int64_t i, std::int64_t places) {
    return static_cast<std::int64_t>(stream_.uniform(i) * static_cast<double>(places));
  };
  if (sampling_ == Sampling::independent) return below(draw, std::ssize(tokens_) - context_);
  const std::int64_t epoch = draw / windows_;
  const std::int64_t first = below(epoch, std::ssize(tokens_) - windows_ * context_);
  return first + shuffled(draw % windows_, windows_, {stream_.key, stream_.stream + 1}, epoch) * context_;
}

std::vector<std::int64_t> RandomBatches::starts(std::int64_t step) const {
  const auto start_of = [&](std::int64_t draw) { return start(draw); };
  return views::iota(step * batch_, (step + 1) * batch_) | views::transform(start_of) | ranges::to<std::vector>;
}

Batch RandomBatches::operator[](std::int64_t step) const {
  const auto size = static_cast<std::size_t>(batch_ * context_);
  Batch drawn{.inputs = {}, .targets = {}, .batch = batch_, .context = context_};
  drawn.inputs.reserve(size);
  drawn.targets.reserve(size);
  for (const std::int64_t start : starts(step)) {
    const auto window = tokens_.begin() + start;
    drawn.inputs.insert(drawn.inputs.end(), window, window + context_);
    drawn.targets.insert(drawn.targets.end(), window + 1, window + context_ + 1);
  }
  return drawn;
}

SequentialBatches::SequentialBatches(std::span<const std::int32_t> tokens, std::int64_t batch, std::int64_t context)
    : tokens_(tokens), batch_(batch), context_(context) {
  demand(tokens, batch, context, 2);
  full_windows_ = targets() / context;
}

std::int64_t SequentialBatches::size() const {
  const std::int64_t of_full_windows = (full_windows_ + batch_ - 1) / batch_;
  return of_full_windows + (targets() % context_ != 0 ? 1 : 0);
}

Batch SequentialBatches::operator[](std::int64_t i) const {
  require(i >= 0 && i < size(),
          [&] { return "batches: no batch " + std::to_string(i) + " in a sweep of " + std::to_string(size()); });
  const std::int64_t first = std::min(i * batch_, full_windows_);
  const std::int64_t windows = std::min(batch_, full_windows_ - first);
  const std::int64_t rows = std::max<std::int64_t>(windows, 1);
  const std::int64_t length = windows > 0 ? context_ : targets() % context_;
  const auto from = tokens_.begin() + first * context_;  // the windows stand side by side: one stretch of the text
  return {.inputs = {from, from + rows * length},
          .targets = {from + 1, from + 1 + rows * length},
          .batch = rows,
          .context = length};
}

}  // namespace folio::data
