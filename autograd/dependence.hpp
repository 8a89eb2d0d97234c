#pragma once
// Whether what was recorded depends on the leaves at all. Not a public header: gradcheck asks.
#include <string>

#include "autograd/tape.hpp"

namespace folio::detail {

/// Why a comparison of gradients would be one of empty sums, in words for whoever wrote f: no leaf has an element, or no
/// element of a float output is reached from one through the entries of the tape. Empty if there is something to compare.
std::string nothing_to_differentiate(const Tape& tape, const Tensors& leaves, const Tensors& outputs);

}  // namespace folio::detail
