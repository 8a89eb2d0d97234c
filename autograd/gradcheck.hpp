#pragma once
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <string>

#include "autograd/tensor.hpp"

namespace folio {

/// Gradients are compared along random directions u of max-norm 1: the analytic Σ ⟨gradient, u⟩ under a random cotangent
/// v against Richardson's (4·D(h/2) − D(h))/3 of central differences D. With S = Σ|v_i|(|Δf_i|/2h + 1e-4·|f_i|), they
/// agree if |a − n| ≤ tolerance·max(|a|, |n|, S). A direction across which a discrete choice saved on the tape (top-k,
/// argmax, mask) differs is discarded and counted.
struct GradcheckOptions {
  int directions = 4;
  double step = 1e-3;
  double tolerance = 1e-8;
  std::uint64_t seed = 0;
  bool every_element = false;  ///< also along each single element: the full Jacobian, for tiny inputs
};

struct GradcheckReport {
  bool passed = false;
  int checked = 0;
  int discarded = 0;
  std::string message;  ///< where it failed: last op, input, element, analytic, numeric, step
  explicit operator bool() const { return passed; }
};
std::ostream& operator<<(std::ostream& out, const GradcheckReport& report);

/// Checks d f(inputs)/d inputs for the float64 inputs (index tensors are passed through). f must be deterministic, and
/// record at least one op for each input that it uses.
GradcheckReport gradcheck(const std::function<Tensors(const Tensors&)>& f, const Tensors& inputs,
                          const GradcheckOptions& options = {});

/// The same for a function of leaves that it holds itself, such as the parameters of a module (float64, packed), which
/// are moved in place and put back.
GradcheckReport gradcheck_leaves(const std::function<Tensors()>& f, const Tensors& leaves,
                                 const GradcheckOptions& options = {});

}  // namespace folio
