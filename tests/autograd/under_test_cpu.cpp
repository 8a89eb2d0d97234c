// Tests that run on the CPU as on a CUDA device, here on the CPU.
#include "tests/cuda/ops/under_test.hpp"

namespace folio::under_test {

const Device device = Device::cpu;

}  // namespace folio::under_test
