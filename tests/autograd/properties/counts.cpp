#include "tests/autograd/properties/counts.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <ostream>

#include "tests/shares.hpp"

namespace folio::testing {
namespace {

// ── What draws must contain at least, in percent of those of one op under one property ───────────────────────────────
// What an op cannot have is not listed.
const std::map<std::string, double> least_broadcast = {
    {"add", 20}, {"subtract", 20}, {"multiply", 20}, {"divide", 20}, {"where", 20}, {"matmul", 10}, {"expand", 20}};
const std::map<std::string, double> least_masked = {
    {"where", 20},         {"clamp", 20},         {"dropout", 20},     {"cross_entropy", 10}, {"causal_attention", 30},
    {"expert_matmul", 10}, {"dispatch_rows", 10}, {"combine_rows", 10}};
constexpr double least_multi_block = 2.5;
constexpr double least_strided = 40;
constexpr double most_empty = 40;
constexpr double least_own_entry = 30;
constexpr double most_discarded = 10;
/// Of fewer draws, shares are a matter of chance.
constexpr int draws_with_shares = 20;

double least(const std::map<std::string, double>& shares, const char* op) {
  const auto found = shares.find(op);
  return found == shares.end() ? 0 : found->second;
}

}  // namespace

void Counts::add(const Outcome& o) {
  ++draws_;
  checked_ += o.checked;
  discarded_ += o.discarded;
  empty_ += o.empty;
  broadcast_ += o.broadcast;
  masked_ += o.masked;
  multi_block_ += o.elements > elements_of_a_block_;
  strided_ += o.strided;
  own_entry_ += o.own_entry;
  exempt_ += o.exempt;
}

double Counts::percent(int n) const { return 100.0 * n / std::max(draws_, 1); }

std::ostream& operator<<(std::ostream& out, const Counts& c) {
  const auto share = [&](const char* name, int n) {
    if (n > 0) out << ", " << name << ' ' << std::lround(c.percent(n)) << " %";
  };
  out << c.draws_ << " draws, " << c.checked_ << " comparisons, " << c.discarded_ << " discarded";
  share("non-contiguous", c.strided_);
  share("broadcast", c.broadcast_);
  share("multi-block", c.multi_block_);
  share("masked", c.masked_);
  share("zero-size", c.empty_);
  share("exempt", c.exempt_);
  return out;
}

void Counts::judge(const Property& p, const OpCase& c) const {
  EXPECT_GT(checked_, 0) << "nothing was compared";
  if (draws_ < draws_with_shares) return;
  EXPECT_LE(100.0 * discarded_ / std::max(checked_ + discarded_, 1), most_discarded)
      << "% discarded: the case's domain is too close to ties or kinks";
  EXPECT_LE(percent(empty_), most_empty) << "% of the draws were empty";
  EXPECT_GE(percent(own_entry_), least_own_entry) << "% of the draws recorded the case's own op";
  EXPECT_GE(percent(broadcast_), least(least_broadcast, c.op)) << "% of the draws broadcast";
  EXPECT_GE(percent(masked_), least(least_masked, c.op)) << "% of the draws were masked";
  EXPECT_GE(percent(strided_), p.strided ? least_strided : 0) << "% of the draws were non-contiguous";
  EXPECT_FALSE(p.largest * p.largest > elements_of_a_block_ && too_few(multi_block_, draws_, least_multi_block / 100))
      << multi_block_ << " of " << draws_ << " draws were multi-block";
}

}  // namespace folio::testing
