// What the code relies on the compiler for, where one has been seen to fail.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

namespace folio::testing {
namespace {

/// As text, so that what is compared with is no constant of the same kind.
template <class T>
[[gnu::noinline]] std::string text(const std::vector<T>& values) {
  std::string all;
  for (T value : values) all += std::to_string(static_cast<int>(value));
  return all;
}

}  // namespace

TEST(Compiler, KeepsTheZerosAtTheEndOfAConstant) {
  EXPECT_EQ(text(std::vector<double>{1, 1, 1, 0}), "1110");
  EXPECT_EQ(text(std::vector<std::int64_t>{2, 2, 2, 0}), "2220");
  EXPECT_EQ(text(std::vector<float>{1, 1, 1, 1, 1, 1, 0, 0}), "11111100");
  EXPECT_EQ(text(std::vector<std::int64_t>{2, 2, 2, 2, 2, 2, 2, 0}), "22222220");
}

}  // namespace folio::testing
