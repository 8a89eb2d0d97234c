#include "cuda/backend.hpp"
#include "cuda/emulated/control.hpp"
#include "autograd/error.hpp"
#include "tests/cuda/ops/under_test.hpp"

namespace folio::under_test {

const Device device = Device::cuda_emulated;

#ifdef FOLIO_TEST_RACES  // the kernels' accesses are watched, which takes time
constexpr bool watched = true;
const double share_of_draws = 0.1;
#else
constexpr bool watched = false;
const double share_of_draws = 0.4;
#endif

void enable() {
  require(cuda_emulated::race_build() || !watched, [] { return std::string("this build watches for no races"); });
  cuda_emulated::enable();
}

const int orders = static_cast<int>(std::size(cuda_emulated::all_orders));
void set_order(int order, std::uint64_t seed) { cuda_emulated::set_order(cuda_emulated::all_orders[order], seed); }

std::map<std::string, std::int64_t> launch_counts() { return cuda_emulated::launch_counts(); }
void reset_launch_counts() { cuda_emulated::reset_launch_counts(); }

}  // namespace folio::under_test
