// The same element by element, and the proof that this sees a single wrong one.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <iostream>

#include "autograd/fault.hpp"
#include "autograd/tape.hpp"
#include "tests/nn/module_cases.hpp"

namespace folio::testing {
namespace {

struct Wrong {
  const GradientSlot* leaf = nullptr;
  std::int64_t element = 0;
};
thread_local Wrong wrong;

/// Makes one element of every gradient that reaches that leaf 0.1 % too large.
void spoil(Entry& e, Tensors& gradients) {
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    if (e.inputs[i].get() != wrong.leaf || !gradients[i].defined()) continue;
    gradients[i] = gradients[i].clone();
    gradients[i].mutable_data<double>()[wrong.element] *= 1.001;
  }
}

/// The leaf and element for `spoil`: at random, of some size.
std::pair<std::size_t, std::int64_t> pick(const ModuleProblem& p, Draw& draw) {
  Tape tape;
  Tensors roots, cotangents;
  for (const Tensor& y : p.f()) {
    if (!y.requires_grad()) continue;
    roots.push_back(y);
    cotangents.push_back(draw.normal(y.shape()));
  }
  tape.backward(roots, cotangents);
  std::pair<std::size_t, std::int64_t> picked;
  for (bool found = false; !found;) {
    picked.first = static_cast<std::size_t>(draw.integer(0, static_cast<std::int64_t>(p.leaves.size()) - 1));
    const std::vector<double> g = p.leaves[picked.first].grad().to_vector();
    picked.second = draw.integer(0, static_cast<std::int64_t>(g.size()) - 1);
    double largest = 0;
    for (double v : g) largest = std::max(largest, std::abs(v));
    found = std::abs(g[static_cast<std::size_t>(picked.second)]) > 0.05 * largest;
  }
  for (Tensor leaf : p.leaves) leaf.zero_grad();
  return picked;
}

}  // namespace

TEST(EveryModule, AgreesInEachElementOfEveryParameterAndInput) {
  for (const ModuleCase& c : module_cases()) {
    int checked = 0, discarded = 0;
    double coarsest = 0;
    for (std::uint64_t seed = 100; seed < 102; ++seed) {
      Draw draw(seed);
      const ModuleProblem p = c.draw(draw);
      int elements = 0;
      for (const Tensor& leaf : p.leaves) elements += static_cast<int>(leaf.numel());
      const auto report = check(p, Look::at_each_element, seed);
      EXPECT_TRUE(report) << c.name << " " << p.description << " seed " << seed << ": " << report;
      EXPECT_EQ(report.checked, elements) << c.name << " seed " << seed;
      checked += report.checked;
      discarded += report.discarded;
      coarsest = std::max(coarsest, report.coarsest);
    }
    std::cout << c.name << ": " << checked << " elements checked, " << discarded << " steps halved, an error of "
              << coarsest << " of the largest gradient allowed at most\n";
    EXPECT_LE(coarsest, 1e-8) << c.name << ": an error of that size would pass";
  }
}

TEST(EveryModule, AgreesInEachElementOfAScalarBesideOtherOutputs) {
  int modules = 0;
  for (const ModuleCase& c : module_cases()) {
    Draw draw(200);
    const ModuleProblem p = c.draw(draw);
    if (!has_scalar_beside_others(p)) continue;
    ++modules;
    const auto report = check(p, Look::at_scalars_alone, 200);
    EXPECT_TRUE(report) << c.name << " " << p.description << ": " << report;
    std::cout << c.name << ": " << report.checked << " elements checked, an error of " << report.coarsest
              << " of the largest gradient allowed at most\n";
    EXPECT_LE(report.coarsest, 1e-8) << c.name << ": an error of that size would pass";
  }
  EXPECT_GE(modules, 6) << "of the modules with a balance loss, and language models";
}

TEST(EveryModule, IsCaughtWithOneWrongElement) {
  for (const ModuleCase& c : module_cases()) {
    Draw draw(300);
    const ModuleProblem p = c.draw(draw);
    const auto [leaf, element] = pick(p, draw);
    wrong = {p.leaves[leaf].slot().get(), element};
    fault::hook.after = spoil;
    const auto report = gradcheck_leaves(p.f, p.leaves, {.directions = 0, .elements = true});
    fault::hook = {};
    EXPECT_FALSE(report) << c.name << ": leaf " << leaf << " element " << element;
    EXPECT_EQ(report.input, static_cast<int>(leaf)) << c.name << ": " << report;
    EXPECT_EQ(report.element, element) << c.name << ": " << report;
  }
}

}  // namespace folio::testing
