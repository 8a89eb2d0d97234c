// 3. Whatever inputs require a gradient, those get the gradient they get when all do, the others get none, and backward
// leaves out the work for them.
#include "autograd/fault.hpp"
#include "tests/autograd/properties/compare.hpp"

namespace folio::testing {
namespace {

thread_local fault::Hook outer;
thread_local std::string unwanted;

/// Watches, under whatever is planted already, that backward functions return nothing for inputs that need nothing.
class Watch {
 public:
  Watch() {
    outer = fault::hook;
    unwanted.clear();
    fault::hook.after = [](Entry& e, Tensors& gradients) {
      for (std::size_t i = 0; i < gradients.size(); ++i) {
        if (gradients[i].defined() && !e.needs(i)) unwanted = std::string(e.op.text) + " input " + std::to_string(i);
      }
      if (outer.after) outer.after(e, gradients);
    };
  }
  ~Watch() { fault::hook = outer; }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
};

void check(Trial& t) {
  const Problem& p = t.problem;
  const Tensors outputs = evaluate(p.f, p.inputs);
  const Tensors v = random_cotangents(outputs, t.draw);
  const Needs every = all_floats(p.inputs);
  const Run whole = vjp(p.f, p.inputs, v, every);
  std::vector<std::size_t> floats;
  for (std::size_t i = 0; i < every.size(); ++i) {
    if (every[i]) floats.push_back(i);
  }
  const Watch watch;
  for (std::size_t subset = 0; subset + 1 < std::size_t{1} << floats.size(); ++subset) {
    Needs needs(every.size(), false);
    std::string named;
    for (std::size_t k = 0; k < floats.size(); ++k) {
      needs[floats[k]] = (subset >> k & 1) != 0;
      if (needs[floats[k]]) named += (named.empty() ? "" : ", ") + std::to_string(floats[k]);
    }
    const Run part = vjp(p.f, p.inputs, v, needs);
    named = "with gradients for inputs {" + named + "} only, ";
    expect_equal(part.outputs, whole.outputs, named + "output");
    expect(unwanted.empty(), named + "backward still computed one for " + unwanted);
    for (std::size_t i = 0; i < every.size(); ++i) {
      if (!needs[i]) {
        expect(!part.gradients[i].defined(), named + "input " + std::to_string(i) + " got one");
        continue;
      }
      const std::string d = difference(part.gradients[i], whole.gradients[i], rounding(p.inputs, outputs));
      expect(d.empty(), named + "input " + std::to_string(i) + ": " + d);
    }
    ++t.checked;
  }
}

}  // namespace

Property property_subsets() {
  return {.name = "Subsets",
          .claim = "a gradient does not depend on which others are asked for",
          .check = check,
          .largest = 12};
}

}  // namespace folio::testing
