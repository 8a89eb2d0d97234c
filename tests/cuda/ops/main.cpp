// Runs the tests on the device that they are linked with. Where that is not to be had: one line, and exit code 2.
#include <gtest/gtest.h>

#include <iostream>

#include "autograd/error.hpp"
#include "tests/cuda/ops/under_test.hpp"

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  if (GTEST_FLAG_GET(list_tests)) return RUN_ALL_TESTS();
  try {
    folio::under_test::enable();
  } catch (const folio::Error& error) {
    std::cerr << argv[0] << ": " << error.what() << std::endl;
    return 2;
  }
  return RUN_ALL_TESTS();
}
