#include "cuda/backend.hpp"
#include "cuda/launches.hpp"
#include "tests/cuda/ops/under_test.hpp"

namespace folio::under_test {

const Device device = Device::cuda;
const double share_of_draws = 0.4;

void enable() { cuda::enable(); }

const int orders = 1;
void set_order(int, std::uint64_t) {}

std::map<std::string, std::int64_t> launch_counts() { return cuda::launch_counts(); }
void reset_launch_counts() { cuda::reset_launch_counts(); }

}  // namespace folio::under_test
