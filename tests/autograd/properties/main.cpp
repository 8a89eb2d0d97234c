// Every property over every op, each as a test of its own name: `Layouts.matmul`. Draws are a seed and a size, so that a
// failure shrinks in size and replays: FOLIO_DRAW=seed,size tries that one draw. RC_PARAMS="seed=… max_success=…" sets
// how many draws are made; without a seed there, the seed is fixed.
#include <gtest/gtest.h>
// gtest first, or rapidcheck's part for it does not compile
#include <rapidcheck/gtest.h>

#include <cmath>
#include <cstdlib>
#include <iostream>
#include <map>
#include <optional>
#include <sstream>

#include "tests/autograd/properties/register.hpp"

namespace folio::testing {
namespace {

// ── What draws must contain at least, in percent of those of one op under one property ───────────────────────────────
// Trivial draws prove nothing, so these shares are asserted. What an op cannot have is not listed.
const std::map<std::string, double> least_broadcast = {
    {"add", 20}, {"subtract", 20}, {"multiply", 20}, {"divide", 20}, {"where", 20}, {"matmul", 10}, {"expand", 20}};
const std::map<std::string, double> least_masked = {
    {"where", 20}, {"dropout", 20}, {"cross_entropy", 10}, {"causal_attention", 30}, {"expert_matmul", 10}};
constexpr double least_multi_block = 1;
constexpr double least_strided = 40;
constexpr double most_empty = 40;
constexpr double least_own_entry = 30;
constexpr double most_discarded = 10;

struct Counts {
  int draws = 0, checked = 0, discarded = 0;
  int empty = 0, broadcast = 0, masked = 0, multi_block = 0, strided = 0, own_entry = 0, exempt = 0;

  void add(const Outcome& o) {
    ++draws;
    checked += o.checked;
    discarded += o.discarded;
    empty += o.empty;
    broadcast += o.broadcast;
    masked += o.masked;
    multi_block += o.multi_block;
    strided += o.strided;
    own_entry += o.own_entry;
    exempt += o.exempt;
  }
  double percent(int n) const { return 100.0 * n / std::max(draws, 1); }
  double discard_percent() const { return 100.0 * discarded / std::max(checked + discarded, 1); }
};

std::ostream& operator<<(std::ostream& out, const Counts& c) {
  const auto share = [&](const char* name, int n) {
    if (n > 0) out << ", " << name << ' ' << std::lround(c.percent(n)) << " %";
  };
  out << c.draws << " draws, " << c.checked << " comparisons, " << c.discarded << " discarded";
  share("non-contiguous", c.strided);
  share("broadcast", c.broadcast);
  share("multi-block", c.multi_block);
  share("masked", c.masked);
  share("zero-size", c.empty);
  share("exempt", c.exempt);
  return out;
}

double least(const std::map<std::string, double>& shares, const char* op) {
  const auto found = shares.find(op);
  return found == shares.end() ? 0 : found->second;
}

void assert_shares(const Property& p, const OpCase& c, const Counts& n) {
  EXPECT_GT(n.checked, 0) << "nothing was compared";
  EXPECT_LE(n.discard_percent(), most_discarded) << "% discarded: the case's domain is too close to ties or kinks";
  EXPECT_LE(n.percent(n.empty), most_empty) << "% of the draws were empty";
  EXPECT_GE(n.percent(n.own_entry), least_own_entry) << "% of the draws recorded the case's own op";
  EXPECT_GE(n.percent(n.broadcast), least(least_broadcast, c.op)) << "% of the draws broadcast";
  EXPECT_GE(n.percent(n.masked), least(least_masked, c.op)) << "% of the draws were masked";
  const double strided = p.strided ? least_strided : 0;
  EXPECT_GE(n.percent(n.strided), strided) << "% of the draws were non-contiguous";
  const double multi_block = p.largest >= size_of_large_draws ? least_multi_block : 0;
  EXPECT_GE(n.percent(n.multi_block), multi_block) << "% of the draws were multi-block";
}

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
    Counts counts;
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
    if (result.is<rc::detail::SuccessResult>()) return assert_shares(property_, case_, counts);
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
