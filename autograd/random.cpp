#include "autograd/random.hpp"

#include <Random123/philox.h>

#include <cmath>
#include <numbers>

namespace folio {

std::array<std::uint32_t, 4> RandomStream::block(std::uint64_t block) const {
  using Philox = r123::Philox4x32;
  const Philox::ctr_type counter = {{static_cast<std::uint32_t>(block), static_cast<std::uint32_t>(block >> 32),
                                     static_cast<std::uint32_t>(stream), static_cast<std::uint32_t>(stream >> 32)}};
  const Philox::key_type words = {{static_cast<std::uint32_t>(key), static_cast<std::uint32_t>(key >> 32)}};
  const Philox::ctr_type drawn = Philox{}(counter, words);
  return {drawn[0], drawn[1], drawn[2], drawn[3]};
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
