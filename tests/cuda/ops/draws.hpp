#pragma once
// What the tests of kernels on the device under test draw and compare.
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "autograd/autograd.hpp"
#include "tests/cuda/ops/under_test.hpp"
#include "tests/shares.hpp"

namespace folio {

const Device gpu = under_test::device;
/// Kernels of one thread for each element have as many in a block.
constexpr std::int64_t threads_of_a_block = 256;

inline int draw_between(int low, int high) { return static_cast<int>(testing::between(low, high)); }
inline void draw_order(std::uint64_t seed) {
  under_test::set_order(static_cast<int>(testing::between(0, under_test::orders - 1)), seed);
}

inline void expect_near(const Tensor& there, const Tensor& here, double relative) {
  const std::vector<double> a = there.to_vector(), b = here.to_vector();
  RC_ASSERT(there.device() == gpu);
  RC_ASSERT(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) RC_ASSERT(std::abs(a[i] - b[i]) <= relative * (1 + std::abs(b[i])));
}

inline std::string message_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

/// How often the kernel of this name was launched since the counts were reset, in all of its instances.
inline std::int64_t launches_of(const std::string& kernel) {
  std::int64_t launches = 0;
  for (const auto& [name, count] : under_test::launch_counts()) {
    launches += name.starts_with(kernel + "<") ? count : 0;
  }
  return launches;
}

}  // namespace folio
