#pragma once
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <string>

#include "autograd/tensor.hpp"

namespace folio {

/// Gradients are compared along random directions u of max-norm 1: the analytic Σ ⟨gradient, u⟩ under a random cotangent
/// v against Richardson's (4·D(h/2) − D(h))/3 of central differences D. With S = Σ|v_i|(|Δf_i|/2h + 1e-4·|f_i|), they
/// agree if |a − n| ≤ tolerance·max(|a|, |n|, S), or exceed it by no more than the rounding of ⟨v, f⟩ as measured at the
/// point (which counts where a small gradient stands beside a large f). A direction across which a discrete choice saved on the tape (top-k,
/// argmax, mask) differs is discarded, counted and drawn again. Keep inputs 10 steps away from kinks and poles.
///
/// With `elements`, each input element is moved by itself too, under the same cotangent, by 4, 2 and 1 steps, from which
/// Romberg's (16·R(2h) − R(4h))/15 follows, R being Richardson's. What finite differences cannot see is estimated there,
/// not chosen: |R(2h) − R(4h)|/15 for truncation, and the rounding of ⟨v, f⟩ as measured at the point (Moré and Wild
/// 2011). They add to tolerance·max(|a|, |n|, Σ|v_i||Δf_i|/8h); `coarsest` tells how much they let through. Where a
/// discrete choice changes the step is halved, up to four times; an element that cannot be checked is a failure.
struct GradcheckOptions {
  int directions = 4;
  double step = 1e-3;
  double tolerance = 1e-8;
  std::uint64_t seed = 0;
  bool locate = true;     ///< where a gradient is wrong, look for the input and element (many evaluations)
  bool elements = false;  ///< also each input element by itself: 6 evaluations of f for each
  bool jacobian = false;  ///< also every output against every input element: for tiny functions
  /// If above 0, directions and cotangents are whole multiples of it. With inputs, `step` and `grid` made of few binary
  /// digits, a linear function that passes through float32 stays exact.
  double grid = 0;
};

struct GradcheckReport {
  bool passed = false;
  int checked = 0;    ///< comparisons made; 0 if there was nothing to compare, which is a failure
  int discarded = 0;  ///< directions across which a discrete choice changed
  /// Of elements checked by themselves: the largest error allowed, as a share of the largest gradient in the same input
  /// (in any input, where that input's are all 0).
  double coarsest = 0;

  // Where it failed first; empty or −1 where that is not known.
  std::string op;  ///< the op whose backward disagrees with its own forward, else the ops that read the input
  int input = -1;
  std::int64_t element = -1;  ///< row-major, within that input
  double analytic = 0, numeric = 0, allowed = 0, step = 0;
  std::string message;  ///< all of that in one line
  explicit operator bool() const { return passed; }
};
std::ostream& operator<<(std::ostream& out, const GradcheckReport& report);

/// Checks d f(inputs)/d inputs for the float64 inputs (index tensors are passed through; float32 is an Error, for finite
/// differences would drown in its rounding). f must be deterministic. Where there is nothing to differentiate (no input
/// has an element, or no element of a float output depends on one), the check fails, with `checked` 0.
GradcheckReport gradcheck(const std::function<Tensors(const Tensors&)>& f, const Tensors& inputs,
                          const GradcheckOptions& options = {});

/// The same for a function of leaves that it holds itself, such as the parameters of a module (float64, packed), which
/// are moved in place; their values and gradients are put back.
GradcheckReport gradcheck_leaves(const std::function<Tensors()>& f, const Tensors& leaves,
                                 const GradcheckOptions& options = {});

}  // namespace folio
