#pragma once
// One case per registered op: how its inputs are drawn, the function, and what a fused op must equal. Every property in
// tests/autograd runs over every case.
#include <functional>
#include <string>
#include <vector>

#include "autograd/autograd.hpp"

namespace folio::testing {

/// Kernels work in blocks; a draw with more elements than the largest of those that matter crosses their borders.
constexpr std::int64_t elements_of_a_block = 2048;
/// Extents of larger sizes differ much, and share their room.
constexpr std::int64_t most_of_small_draws = 8;
/// Sizes from here on make draws of several blocks.
constexpr std::int64_t size_of_large_draws = 200;

/// The random choices of one draw, all from one seed, so that a failure replays. `size` bounds extents: 0 makes degenerate
/// draws (extents of 0 and 1 mostly); above most_of_small_draws some extents are large, as many as `size` squared elements allow.
class Draw {
 public:
  explicit Draw(std::uint64_t seed, std::int64_t size = 5)
      : generator_(seed), choices_(generator_.next_stream()), size_(size), room_(size * size) {}

  /// Whole number in [low, high].
  std::int64_t integer(std::int64_t low, std::int64_t high);
  bool chance(double probability);
  /// An extent: usually 1 to size, now and then 0 if allowed. All extents of a large draw share its room.
  std::int64_t extent(bool may_be_zero = true);
  /// A shape of min_rank to max_rank extents.
  Shape shape(int min_rank, int max_rank, bool may_be_zero = true);
  /// A shape that broadcasts with `shape`: dimensions dropped from the front or set to 1.
  Shape broadcastable(const Shape& shape);

  // float64 values
  Tensor normal(const Shape& shape, double scale = 1);
  Tensor uniform(const Shape& shape, double low, double high);
  /// Magnitude in [low, high] with a random sign: keeps off poles, logs and kinks at 0.
  Tensor away_from_zero(const Shape& shape, double low = 0.5, double high = 2);
  /// Values at least `gap` apart from each other, in random order: no ties, no kinks of max or top-k.
  Tensor distinct(const Shape& shape, double gap = 0.05);
  /// Whole multiples of `grid` within ±most: exact in float32 too.
  Tensor dyadic(const Shape& shape, double most = 4, double grid = 0.125);
  /// int32 values in [0, below).
  Tensor indices(const Shape& shape, std::int64_t below);
  /// The same, as int64 where their number is odd.
  Tensor indices_of_either_type(const Shape& shape, std::int64_t below);
  RandomStream stream() { return generator_.next_stream(); }

 private:
  Generator generator_;
  RandomStream choices_;
  std::int64_t next_ = 0;
  std::int64_t size_;
  std::int64_t room_;  // elements that extents to come may still multiply to, in large draws
};

/// A device besides the CPU: an enabled backend, else a stand-in whose memory and kernels are the CPU's, so that crossing
/// devices is exercised in every build.
Device other_device();

using Function = std::function<Tensors(const Tensors&)>;

/// One drawn instance: float64 inputs (and index inputs, which stay fixed), packed.
struct Problem {
  Tensors inputs;
  Function f;               ///< works for float64 and float32 inputs, on any device and layout
  Function composed = {};   ///< the composition of plain ops that a fused op must equal; empty for a plain op
  std::string description;  ///< parameters of this draw, for messages
  bool broadcast = false;   ///< an input was really expanded
  bool masked = false;      ///< a mask, an ignored index or an empty group took part
  bool dyadic = false;      ///< f is linear, goes through float32, and its inputs are exact there (Draw::dyadic)
};

struct OpCase {
  const char* op;
  Problem (*draw)(Draw&);
};

/// Every case, in the order of the registry. Filled from autograd/ops.def, so an op without a case does not link.
const std::vector<OpCase>& all_cases();

}  // namespace folio::testing
