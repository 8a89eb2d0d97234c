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

double RandomStream::uniform(std::int64_t i) const {
  const auto index = static_cast<std::uint64_t>(i);
  const auto words = block(index / 2);
  const std::uint64_t high = words[2 * (index % 2)];
  const std::uint64_t low = words[2 * (index % 2) + 1];
  return static_cast<double>((high << 21) ^ (low >> 11)) * 0x1p-53;
}

double RandomStream::normal(std::int64_t i) const {
  const double radius = std::sqrt(-2 * std::log(1 - uniform(2 * i)));
  return radius * std::cos(2 * std::numbers::pi * uniform(2 * i + 1));
}

}  // namespace folio
