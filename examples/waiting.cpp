#include "examples/waiting.hpp"

#include <unistd.h>

#include <cstdlib>

namespace folio::examples {

void bound_waiting(char** argv) {
  constexpr const char* spins = "1000";
  if (std::getenv("OMP_WAIT_POLICY") != nullptr || std::getenv("GOMP_SPINCOUNT") != nullptr) return;
  if (setenv("GOMP_SPINCOUNT", spins, 1) == 0) execv("/proc/self/exe", argv);  // where that fails, nothing has changed
}

}  // namespace folio::examples
