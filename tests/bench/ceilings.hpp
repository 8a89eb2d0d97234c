#pragma once
#include <map>

#include "autograd/settings.hpp"

namespace folio::bench {

/// What this machine can do at best with the threads in use, measured: the figures that benchmarks are shares of.
struct Ceilings {
  double fma = 0;                          ///< float32 FLOP/s of multiply-adds that stay in registers
  std::map<GemmProvider, double> product;  ///< float32 FLOP/s of a matrix product in cache, by provider
  double copy = 0;                         ///< bytes/s of a copy in memory, those read and those written

  /// Of matrix products by the provider in use.
  double product_in_use() const { return product.at(gemm_provider()); }
};

/// Spends about `seconds` on each figure, and keeps the best run.
Ceilings measure_ceilings(double seconds);

}  // namespace folio::bench
