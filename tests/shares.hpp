#pragma once
// A property as a test of its own that prints its draws, discards and what share of the draws was of which kind, and
// asserts minimum shares, so that a property over trivial draws fails.
#include <gtest/gtest.h>
// gtest first, or rapidcheck's part for it does not compile
#include <rapidcheck/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

namespace folio::testing {

/// A whole number in [low, high], evenly, whatever size rapidcheck is at.
std::int64_t between(std::int64_t low, std::int64_t high);

/// Whether `seen` of `draws` draws are fewer than chance can explain if each is of some kind with probability `least`:
/// exp(−n·KL(seen/n ‖ least)), which bounds the probability of so few from above (Chernoff), is below 0.001. So a run
/// of few draws raises no false alarm, and one of 100 still finds a share of 7 % or more missing altogether.
bool too_few(double seen, int draws, double least);

/// What the draws of one property were like.
class Shares {
 public:
  /// Notes whether this draw is `what`, in one of its calls at least; `least` percent of the draws or more must be.
  void note(const std::string& what, bool so, double least);

  // For what runs the property.
  void begin();
  void keep();
  /// Fails the running test where a share is missed, where nothing was drawn, or where more than 10 % were discarded.
  void judge() const;
  std::string text() const;

 private:
  struct Kind {
    std::string what;
    double least;
    int seen = 0;
    bool now = false;
  };
  std::vector<Kind> kinds_;
  int begun_ = 0, kept_ = 0;
};

/// Runs a property over seeds that rapidcheck draws; RC_PARAMS="seed=… max_success=…" sets its own and how many.
/// Without one, the seed is fixed.
void check_property(const char* name, void (*property)(Shares&, std::uint64_t));

/// FOLIO_PROPERTY(Suite, Name) { … }: the body uses `seed`, or draws with rapidcheck, and notes kinds in `shares`.
#define FOLIO_PROPERTY(suite, name)                                                                   \
  static void property_##suite##_##name(folio::testing::Shares& shares, std::uint64_t seed);          \
  TEST(suite, name) { folio::testing::check_property(#suite "." #name, &property_##suite##_##name); } \
  void property_##suite##_##name([[maybe_unused]] folio::testing::Shares& shares, [[maybe_unused]] std::uint64_t seed)

}  // namespace folio::testing
