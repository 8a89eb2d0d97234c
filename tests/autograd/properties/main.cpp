// Every property over every op, each as a test of its own name: `Layouts.matmul`. Draws are a seed and a size, so that a
// failure shrinks in size and replays: FOLIO_DRAW=seed,size tries that one draw. RC_PARAMS="seed=… max_success=…" sets
// how many draws are made; without a seed there, the seed is fixed.
#include <gtest/gtest.h>
// gtest first, or rapidcheck's part for it does not compile
#include <rapidcheck/gtest.h>

#include <cstdlib>
#include <iostream>
#include <optional>
#include <sstream>

#include "tests/autograd/properties/counts.hpp"
#include "tests/autograd/properties/register.hpp"

namespace folio::testing {
namespace {

// ── Draws ────────────────────────────────────────────────────────────────────────────────────────────────────────────
rc::detail::TestParams parameters(const Property& p) {
  rc::detail::TestParams params = rc::detail::configuration().testParams;
  const char* given = std::getenv("RC_PARAMS");
  if (given == nullptr || std::string(given).find("seed") == std::string::npos) params.seed = 1623;  // the First Folio
  params.maxSuccess = std::max(20, static_cast<int>(params.maxSuccess * p.draws * 1.5));
  return params;
}

/// rapidcheck's size, 0 to 99 over a run, decides the kind of draw, so that every run has its share of each.
rc::Gen<std::int64_t> sizes() {
  return rc::gen::withSize([](int size) {
    const auto between = [](std::int64_t low, std::int64_t high) {
      return rc::gen::resize(rc::kNominalSize, rc::gen::inRange<std::int64_t>(low, high + 1));
    };
    if (size < 10) return rc::gen::just<std::int64_t>(0);  // degenerate: extents of 0 and 1
    if (size < 80) return between(1, 6);
    if (size < 90) return between(9, 40);
    return between(size_of_large_draws, 256);
  });
}

std::optional<std::pair<std::uint64_t, std::int64_t>> replayed() {
  const char* text = std::getenv("FOLIO_DRAW");
  if (text == nullptr) return {};
  char* rest = nullptr;
  const std::uint64_t seed = std::strtoull(text, &rest, 10);
  return std::pair(seed, std::int64_t{*rest == ',' ? std::strtoll(rest + 1, nullptr, 10) : 5});
}

class PropertyOfOp : public ::testing::Test {
 public:
  PropertyOfOp(const Property& p, const OpCase& c) : property_(p), case_(c) {}

  void TestBody() override {
    if (const auto draw = replayed()) {
      const Outcome o = attempt(property_, case_, draw->first, draw->second);
      EXPECT_TRUE(o.held) << o.message;
      return;
    }
    Counts counts(elements_of_a_block);
    const auto tried = [&] {
      const auto seed = *rc::gen::noShrink(rc::gen::resize(rc::kNominalSize, rc::gen::arbitrary<std::uint64_t>()));
      const auto size = *sizes();
      const Outcome o = attempt(property_, case_, seed, size);
      counts.add(o);
      RC_LOG() << o.message << "\nReplay: FOLIO_DRAW=" << seed << ',' << size << " --gtest_filter=" << property_.name
               << '.' << case_.op << std::endl;
      RC_ASSERT(o.held);
    };
    const rc::detail::TestParams params = parameters(property_);
    const auto result =
        rc::detail::checkTestable(tried, rc::detail::TestMetadata{property_.name, property_.claim}, params);
    std::cout << case_.op << ": " << property_.claim << ": " << counts << ", seed " << params.seed << '\n';
    if (result.is<rc::detail::SuccessResult>()) return counts.judge(property_, case_);
    std::ostringstream text;
    rc::detail::printResultMessage(result, text);
    FAIL() << text.str();
  }

 private:
  const Property& property_;
  const OpCase& case_;
};

void register_all() { register_properties<PropertyOfOp>(); }

}  // namespace
}  // namespace folio::testing

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  folio::testing::register_all();
  return RUN_ALL_TESTS();
}
