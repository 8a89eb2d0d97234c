#pragma once
// Faults that are planted in backward passes, to see that the checks catch them.
#include <string>
#include <vector>

#include "autograd/fault.hpp"
#include "autograd/tape.hpp"

namespace folio::testing {

struct Fault {
  const char* name;
  const char* what;
  // One of these; a function returns whether it found something to change.
  fault::Point point = fault::Point::none;  ///< armed during the backward of the entries concerned
  bool (*before)(Entry& entry, Tensors& output_gradients) = nullptr;
  bool (*after)(Entry& entry, Tensors& input_gradients) = nullptr;
  bool (*recorded)(Entry& entry, const Tensors& outputs) = nullptr;
};

const std::vector<Fault>& all_faults();

/// Plants a fault in every entry of one op while in scope.
class Planted {
 public:
  Planted(const Fault& fault, std::string op);
  ~Planted();
  Planted(const Planted&) = delete;
  Planted& operator=(const Planted&) = delete;

  /// How often the fault found something to change.
  int times() const;
};

}  // namespace folio::testing
