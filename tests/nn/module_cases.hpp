#pragma once
// One case per module: a small float64 instance with its leaves (every parameter, and the input where it is a float)
// and a function of them. Every check of gradients runs over every case, as it does over every op.
#include <functional>
#include <string>
#include <vector>

#include "nn/deepseek_lm.hpp"
#include "tests/autograd/op_case.hpp"

namespace folio::testing {

/// One drawn instance. The function holds the module and is deterministic: it may be called any number of times while
/// the leaves are moved in place.
struct ModuleProblem {
  Tensors leaves;              ///< float64, packed, requiring a gradient
  std::function<Tensors()> f;  ///< the module's outputs
  std::string description;
};

struct ModuleCase {
  const char* name;
  ModuleProblem (*draw)(Draw&);
};

const std::vector<ModuleCase>& module_cases();

/// A configuration whose every extent is small and differs from the others, with two layers.
DeepSeekConfig small_config();
/// Gives all parameters values at which gradients are far from 0: matrices normal with `scale`, norms in [0.5, 1.5],
/// and router biases in ±0.2.
void randomize(Module& module, Draw& draw, double scale = 0.5);

}  // namespace folio::testing
