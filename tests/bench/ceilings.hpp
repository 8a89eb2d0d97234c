#pragma once
#include <map>
#include <string>

namespace folio::bench {

struct Place;

/// What a place can do at best, measured: the figures that benchmarks are shares of.
struct Ceilings {
  double fma = 0;  ///< float32 FLOP/s of multiply-adds that stay in the CPU's registers
  std::map<std::string, double>
      product;         ///< FLOP/s of a large matrix product: on the CPU by provider, on a GPU by type
  std::string in_use;  ///< which of them what is measured uses
  double copy = 0;     ///< bytes/s of a copy in memory, those read and those written
  double region = 0;   ///< seconds that the CPU's threads take to begin and end together, with nothing to do

  /// 0 where there is no such product.
  double product_in_use() const {
    const auto found = product.find(in_use);
    return found == product.end() ? 0 : found->second;
  }
  /// On one line.
  std::string description() const;
};

/// Spends about `seconds` on each figure, and keeps the best run.
Ceilings measure_ceilings(const Place& place, double seconds);

}  // namespace folio::bench
