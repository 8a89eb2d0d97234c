#include "autograd/random.hpp"

#include <Random123/philox.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace folio {

std::array<std::uint32_t, 4> RandomStream::block(std::uint64_t block) const {
  std::array<std::uint32_t, 4> words;
  blocks(block, words);
  return words;
}

void RandomStream::blocks(std::uint64_t first, std::span<std::uint32_t> words) const {
  using Philox = r123::Philox4x32;
  const Philox::key_type keys = {{static_cast<std::uint32_t>(key), static_cast<std::uint32_t>(key >> 32)}};
  for (std::size_t i = 0; i + 4 <= words.size(); i += 4) {
    const std::uint64_t block = first + i / 4;
    const Philox::ctr_type counter = {{static_cast<std::uint32_t>(block), static_cast<std::uint32_t>(block >> 32),
                                       static_cast<std::uint32_t>(stream), static_cast<std::uint32_t>(stream >> 32)}};
    const Philox::ctr_type drawn = Philox{}(counter, keys);
    std::copy(drawn.begin(), drawn.end(), words.data() + i);
  }
}

std::uint32_t RandomStream::bits(std::int64_t i) const {
  const auto index = static_cast<std::uint64_t>(i);
  return block(index / 4)[index % 4];
}

namespace {
/// Uniform in [0, 1) from two words.
double to_unit(std::uint64_t high, std::uint64_t low) {
  return static_cast<double>((high << 21) ^ (low >> 11)) * 0x1p-53;
}
}  // namespace

double RandomStream::uniform(std::int64_t i) const {
  const auto index = static_cast<std::uint64_t>(i);
  const auto words = block(index / 2);
  return index % 2 == 0 ? to_unit(words[0], words[1]) : to_unit(words[2], words[3]);
}

double RandomStream::normal(std::int64_t i) const {
  const auto words = block(static_cast<std::uint64_t>(i));
  const double radius = std::sqrt(-2 * std::log(1 - to_unit(words[0], words[1])));
  return radius * std::cos(2 * std::numbers::pi * to_unit(words[2], words[3]));
}

}  // namespace folio
