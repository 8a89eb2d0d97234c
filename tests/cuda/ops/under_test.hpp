#pragma once
// The device that the tests of this folder run on. They are compiled once, and linked with under_test_emulated.cpp and the
// emulator, or with under_test_real.cpp and the backend for GPUs.
#include <cctype>
#include <cstdint>
#include <map>
#include <string>

#include "autograd/storage.hpp"

namespace folio::under_test {

extern const Device device;
/// Makes it usable; an Error where that cannot be. The program calls it before the first test.
void enable();

/// The orders in which the threads of a block can be made to run: a GPU has its own alone.
extern const int orders;
void set_order(int order, std::uint64_t seed);

/// How many draws a property gets, as a share of those on the CPU.
extern const double share_of_draws;

std::map<std::string, std::int64_t> launch_counts();
void reset_launch_counts();

}  // namespace folio::under_test

namespace folio {

/// Whether a word of the launch's name begins so: a kernel, or the formula that an element-wise one applies.
inline bool names_kernel(const std::string& launch, const std::string& kernel) {
  for (std::size_t at = launch.find(kernel); at != std::string::npos; at = launch.find(kernel, at + 1)) {
    if (at == 0 || (std::isalnum(static_cast<unsigned char>(launch[at - 1])) == 0 && launch[at - 1] != '_'))
      return true;
  }
  return false;
}

}  // namespace folio
