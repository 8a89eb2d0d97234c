#pragma once
// What the draws of one op under one property were like: printed, and held to minimum shares, since trivial draws prove
// nothing.
#include <iosfwd>

#include "tests/autograd/properties/property.hpp"

namespace folio::testing {

class Counts {
 public:
  /// A draw of more elements crosses the border of a block.
  explicit Counts(std::int64_t elements_of_a_block) : elements_of_a_block_(elements_of_a_block) {}

  void add(const Outcome& o);
  int draws() const { return draws_; }
  /// Fails the running test where a share is missed.
  void judge(const Property& p, const OpCase& c) const;

  friend std::ostream& operator<<(std::ostream& out, const Counts& c);

 private:
  double percent(int n) const;

  std::int64_t elements_of_a_block_;
  int draws_ = 0, checked_ = 0, discarded_ = 0;
  int empty_ = 0, broadcast_ = 0, masked_ = 0, multi_block_ = 0, strided_ = 0, own_entry_ = 0, exempt_ = 0;
};

}  // namespace folio::testing
