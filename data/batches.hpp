#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "autograd/random.hpp"

namespace folio::data {

/// Windows of a text and, for each token in them, the token that follows. Both row-major, (batch, context).
struct Batch {
  std::vector<std::int32_t> inputs;   // (B, T)
  std::vector<std::int32_t> targets;  // (B, T)
  std::int64_t batch = 0;
  std::int64_t context = 0;
};

/// The random stream from which windows are drawn unless told otherwise: far from those that are counted from 0.
inline constexpr std::uint64_t window_stream = 0x77696e646f777300;

enum class Sampling : std::uint8_t {
  /// Windows start anywhere in the tokens, each start as likely as any other.
  independent,
  /// Epochs: windows side by side from a random place near the beginning, each once, in an order of the epoch's own. But for
  /// some at both ends, all tokens are seen equally often.
  epochs,
};

/// Batches of random windows. The batch of a step is a pure function of (tokens, batch, context, seed, sampling, stream,
/// step): nothing is kept between steps, so a run resumes anywhere. Window r of step s is draw s·batch + r of the stream, so
/// that two steps of 8 windows are one step of 16. Epochs take the stream after it, too.
class RandomBatches {
 public:
  /// `tokens` must outlive this. Error where batch or context is not positive, or there are fewer than context + 1
  /// tokens.
  RandomBatches(std::span<const std::int32_t> tokens, std::int64_t batch, std::int64_t context, std::uint64_t seed,
                Sampling sampling = Sampling::independent, std::uint64_t stream = window_stream);

  /// The batch of `step` ≥ 0: (batch, context).
  Batch operator[](std::int64_t step) const;
  /// Where its windows start, in 0 … tokens − context − 1.
  std::vector<std::int64_t> starts(std::int64_t step) const;

  /// How many windows an epoch has.
  std::int64_t windows_per_epoch() const { return windows_; }

 private:
  std::int64_t start(std::int64_t draw) const;

  std::span<const std::int32_t> tokens_;
  std::int64_t batch_;
  std::int64_t context_;
  std::int64_t windows_;
  Sampling sampling_;
  RandomStream stream_;
};

/// The full sweep of a text: windows side by side from its first token, so that each of its tokens − 1 targets is
/// predicted exactly once. `batch` windows of `context` a time; the last of these batches may have fewer windows; where
/// context does not divide tokens − 1, one more batch holds the rest, a single shorter window. A mean over the sweep
/// must therefore weigh each batch by its batch·context targets.
class SequentialBatches {
 public:
  /// `tokens` must outlive this. Error where batch or context is not positive, or there are fewer than 2 tokens.
  SequentialBatches(std::span<const std::int32_t> tokens, std::int64_t batch, std::int64_t context);

  /// The number of batches.
  std::int64_t size() const;
  /// The number of targets in all of them: tokens − 1.
  std::int64_t targets() const { return static_cast<std::int64_t>(tokens_.size()) - 1; }
  /// Batch i, 0 ≤ i < size().
  Batch operator[](std::int64_t i) const;

 private:
  std::span<const std::int32_t> tokens_;
  std::int64_t batch_;
  std::int64_t context_;
  std::int64_t full_windows_;
};

}  // namespace folio::data
