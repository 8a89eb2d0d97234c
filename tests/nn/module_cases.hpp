#pragma once
// One case per module: a small float64 instance with its leaves (every parameter, and the input where it is a float)
// and a function of them. Every check of gradients runs over every case, as it does over every op.
#include <functional>
#include <string>
#include <vector>

#include "autograd/gradcheck.hpp"
#include "nn/deepseek_lm.hpp"
#include "tests/autograd/op_case.hpp"

namespace folio::testing {

/// One drawn instance. The function holds the module and is deterministic: it may be called any number of times while
/// the leaves are moved in place.
struct ModuleProblem {
  Tensors leaves;              ///< float64, packed, requiring a gradient
  std::function<Tensors()> f;  ///< the module's outputs
  std::string description;
  int redrawn = 0;  ///< how many draws before it were too near a tie of top-k
};

struct ModuleCase {
  const char* name;
  ModuleProblem (*draw)(Draw&);
};

const std::vector<ModuleCase>& module_cases();

/// How a module's gradients are looked at, from the cheapest to what sees the most.
enum class Look {
  along_directions,  ///< all outputs, along random directions, to a relative 1e-8
  at_each_element,   ///< all outputs, each element of each leaf by itself, to 1e-12 and what rounding hides as measured
  at_scalars_alone,  ///< so too, of each scalar output beside others alone: a balance loss is drowned in what it is added to
};
/// One report of all that was compared, or of what failed. Fails where a look finds nothing to compare.
GradcheckReport check(const ModuleProblem& p, Look look, std::uint64_t seed);
/// Whether a scalar output stands beside others.
bool has_scalar_beside_others(const ModuleProblem& p);

/// A configuration whose every extent is small and differs from the others, with two layers.
DeepSeekConfig small_config();
/// Gives all parameters values at which gradients are far from 0: matrices normal with `scale`, norms in [0.5, 1.5],
/// and router biases in ±0.2.
void randomize(Module& module, Draw& draw, double scale = 0.5);

}  // namespace folio::testing
