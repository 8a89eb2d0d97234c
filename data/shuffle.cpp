#include "data/shuffle.hpp"

#include <bit>
#include <utility>

namespace folio::data {

std::int64_t shuffled(std::int64_t i, std::int64_t n, const RandomStream& stream, std::int64_t which) {
  const int half_bits = (std::bit_width(static_cast<std::uint64_t>(n - 1)) + 1) / 2;
  const std::uint64_t mask = (std::uint64_t{1} << half_bits) - 1;
  auto place = static_cast<std::uint64_t>(i);
  do {
    std::uint64_t left = place >> half_bits, right = place & mask;
    for (std::uint64_t round = 0; round < 4; ++round) {
      const std::uint64_t counter = (static_cast<std::uint64_t>(which) * 4 + round) << 32 | right;
      left = std::exchange(right, left ^ (stream.block(counter)[0] & mask));
    }
    place = left << half_bits | right;
  } while (place >= static_cast<std::uint64_t>(n));
  return static_cast<std::int64_t>(place);
}

}  // namespace folio::data
