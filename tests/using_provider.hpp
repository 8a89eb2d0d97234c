#pragma once
#include "autograd/settings.hpp"

namespace folio::testing {

/// Sets the provider of matrix products while in scope.
class Using {
 public:
  explicit Using(GemmProvider provider) { set_gemm_provider(provider); }
  ~Using() { set_gemm_provider(before_); }
  Using(const Using&) = delete;
  Using& operator=(const Using&) = delete;

 private:
  GemmProvider before_ = gemm_provider();
};

}  // namespace folio::testing
