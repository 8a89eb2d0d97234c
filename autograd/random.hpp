#pragma once
#include <array>
#include <cstdint>
#include <span>

namespace folio {

/// One counter-based random sequence (Philox4x32-10; Salmon et al., 'Parallel random numbers: as easy as 1, 2, 3', 2011).
/// Element i is a pure function of (key, stream, i), so any thread, device or resumed run draws the same numbers.
struct RandomStream {
  std::uint64_t key = 0;
  std::uint64_t stream = 0;

  /// Four independent 32-bit words for block `block`.
  std::array<std::uint32_t, 4> block(std::uint64_t block) const;
  /// The words of blocks first, first + 1, …, one after another; as many, in fours, as `words` holds.
  void blocks(std::uint64_t first, std::span<std::uint32_t> words) const;
  std::uint32_t bits(std::int64_t i) const;
  /// Uniform in [0, 1), 53 random bits.
  double uniform(std::int64_t i) const;
  /// Standard normal (Box–Muller).
  double normal(std::int64_t i) const;
};

/// Hands out streams one after another. Its whole state is two numbers, to be saved with a run.
class Generator {
 public:
  explicit Generator(std::uint64_t seed, std::uint64_t next = 0) : seed_(seed), next_(next) {}
  RandomStream next_stream() { return {seed_, next_++}; }
  std::uint64_t seed() const { return seed_; }
  std::uint64_t position() const { return next_; }

 private:
  std::uint64_t seed_;
  std::uint64_t next_;
};

}  // namespace folio
