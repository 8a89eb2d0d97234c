#pragma once
#include <sstream>
#include <string>

#include "autograd/error.hpp"
#include "autograd/parameter.hpp"

namespace folio::optim {

/// An Error such as "adamw: beta1 is 1.5, it must be in [0, 1)" unless `holds`.
inline void check(bool holds, const char* where, const char* what, double value, const char* must) {
  require(holds, [&] {
    std::ostringstream line;
    line << where << ": " << what << " is " << value << ", it must be " << must;
    return line.str();
  });
}

/// An Error unless each of the parameters has a name and memory of its own and is held in float32 or float64.
void check_apart(const Parameters& parameters, const char* where);

}  // namespace folio::optim
