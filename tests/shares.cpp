#include "tests/shares.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <iostream>
#include <sstream>

namespace folio::testing {

std::int64_t between(std::int64_t low, std::int64_t high) {
  return *rc::gen::resize(rc::kNominalSize, rc::gen::inRange<std::int64_t>(low, high + 1));
}

bool too_few(double seen, int draws, double least) {
  const double q = seen / std::max(draws, 1);
  if (q >= least) return false;
  const auto term = [](double a, double b) { return a == 0 ? 0 : a * std::log(a / b); };
  return draws * (term(q, least) + term(1 - q, 1 - least)) > std::log(1000.0);
}

void Shares::note(const std::string& what, bool so, double least) {
  const auto found = std::find_if(kinds_.begin(), kinds_.end(), [&](const Kind& k) { return k.what == what; });
  Kind& kind = found != kinds_.end() ? *found : kinds_.emplace_back(Kind{what, least});
  kind.now = kind.now || so;
}

void Shares::begin() {
  ++begun_;
  for (Kind& kind : kinds_) kind.now = false;
}

void Shares::keep() {
  ++kept_;
  for (Kind& kind : kinds_) kind.seen += kind.now;
}

void Shares::judge() const {
  EXPECT_GT(kept_, 0) << "nothing was drawn";
  EXPECT_FALSE(too_few(kept_, begun_, 0.9)) << begun_ - kept_ << " of " << begun_ << " draws were discarded";
  for (const Kind& kind : kinds_) {
    EXPECT_FALSE(too_few(kind.seen, kept_, kind.least / 100))
        << kind.seen << " of " << kept_ << " draws are " << kind.what << ", at least " << kind.least << " % must";
  }
}

std::string Shares::text() const {
  std::ostringstream out;
  out << kept_ << " draws, " << begun_ - kept_ << " discarded";
  for (const Kind& kind : kinds_) {
    out << ", " << kind.what << ' ' << std::lround(100.0 * kind.seen / std::max(kept_, 1)) << " %";
  }
  return out.str();
}

void check_property(const char* name, void (*property)(Shares&, std::uint64_t)) {
  rc::detail::TestParams params = rc::detail::configuration().testParams;
  const char* given = std::getenv("RC_PARAMS");
  if (given == nullptr || std::string(given).find("seed") == std::string::npos) params.seed = 1623;  // the First Folio
  Shares shares;
  const auto tried = [&] {
    const auto seed = *rc::gen::noShrink(rc::gen::resize(rc::kNominalSize, rc::gen::arbitrary<std::uint64_t>()));
    shares.begin();
    property(shares, seed);
    shares.keep();
  };
  const auto result = rc::detail::checkTestable(tried, rc::detail::TestMetadata{name, name}, params);
  std::cout << name << ": " << shares.text() << ", seed " << params.seed << '\n';
  if (result.is<rc::detail::SuccessResult>()) return shares.judge();
  std::ostringstream text;
  rc::detail::printResultMessage(result, text);
  FAIL() << text.str() << "RC_PARAMS=\"seed=" << params.seed << " max_success=" << params.maxSuccess << "\" replays it";
}

}  // namespace folio::testing
