#pragma once
// Which op of a recorded function has a wrong backward. Not a public header: gradcheck asks once a check has failed.
#include <functional>
#include <string>
#include <vector>

#include "autograd/tensor.hpp"

namespace folio::detail {

struct Blame {
  std::function<Tensors()> f;
  Tensors leaves;
  std::vector<std::vector<double>> direction;       ///< along which the check failed, one part for each leaf
  std::function<void(double)> move_to;              ///< moves the leaves along it, by a distance
  std::function<void(const Tensors&)> backward_of;  ///< runs backward from f's outputs on the tape in scope
  double step;
};

/// Compares each entry with itself: the change of its outputs, weighed by the gradients that reached it, must equal the
/// change of its inputs, weighed by the gradients that it returned. Returns the name of the entry that differs most, with
/// its place on the tape ("exp (entry 3 of 7)"), or nothing if every entry agrees with itself.
std::string faulty_op(const Blame& blame);

}  // namespace folio::detail
