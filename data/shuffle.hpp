#pragma once
#include <cstdint>

#include "autograd/random.hpp"

namespace folio::data {

/// Where i of 0 … n − 1 goes in the shuffle of number `which`, a permutation: a Feistel network of four rounds, whose
/// functions are `stream`'s words, walked until it leads back below n (Black and Rogaway 2002, "Ciphers with arbitrary
/// finite domains"). Nothing is stored, so that any place of any epoch is known at once. 0 ≤ i < n ≤ 2^32; those of `which` and of
/// 2^30 more are the same.
std::int64_t shuffled(std::int64_t i, std::int64_t n, const RandomStream& stream, std::int64_t which);

}  // namespace folio::data
