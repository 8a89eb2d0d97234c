#pragma once
// Plain parameters that ops hand to kernels.
#include <cstdint>

namespace folio {

/// How rotary embedding pairs the channels of a head of width R: (2i, 2i+1), or (i, i + R/2).
enum class RopePairs : std::uint8_t { interleaved, rotate_half };

/// Folds of a reduction along one dimension.
enum class Extreme : std::uint8_t { max, min };

}  // namespace folio
