#pragma once
// A property is a claim about every op; a trial is one draw of one case on which it is tried. The loops over the registry
// live in main.cpp; the fault table tries the same properties with a fault planted.
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/autograd/op_case.hpp"

namespace folio::testing {

/// What a check throws when the claim does not hold.
struct Refuted : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Trial {
  Trial(const OpCase& c, std::uint64_t seed, std::int64_t size)
      : op_case(c), seed(seed), size(size), draw(seed, size), problem(c.draw(draw)) {}

  const OpCase& op_case;
  std::uint64_t seed;
  std::int64_t size;
  Draw draw;  ///< goes on after the problem: choices of the property's own
  Problem problem;

  // What the check notes for the statistics.
  int checked = 0;
  int discarded = 0;      ///< comparisons given up, because a discrete choice changed
  bool strided = false;   ///< something was really non-contiguous
  bool own_entry = true;  ///< the case's own op is on the tape
  bool exempt = false;    ///< the claim asks nothing here, for a reason that is listed
};

struct Property {
  const char* name;
  const char* claim;
  void (*check)(Trial&);
  bool (*applies)(const OpCase&) = nullptr;  ///< to every op if null
  double draws = 1;                          ///< times max_success
  std::int64_t largest = 256;                ///< a bound for the draw's size, and its square for elements
  bool strided = false;                      ///< a large share of the draws must be non-contiguous
};

/// In the order of the page on gradients.
const std::vector<Property>& all_properties();

#define FOLIO_PROPERTIES(X) \
  X(finite_differences)     \
  X(linearity) X(subsets) X(aliasing) X(layouts) X(broadcasting) X(fused) X(precision) X(non_finite)
#define X(name) Property property_##name();
FOLIO_PROPERTIES(X)
#undef X

struct Outcome {
  bool held = true;
  std::string message;  ///< op, draw and what did not hold: enough to replay and to act
  int checked = 0, discarded = 0;
  bool empty = false, broadcast = false, masked = false;
  bool strided = false, own_entry = true, exempt = false;
  std::int64_t elements = 0;  ///< of the largest input; of the largest output too, where extents are large
};

/// Tries one property on one draw. An exception is a failure too.
Outcome attempt(const Property& property, const OpCase& c, std::uint64_t seed, std::int64_t size);

}  // namespace folio::testing
