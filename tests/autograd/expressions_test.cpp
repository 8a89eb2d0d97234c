// Random expressions: nodes read any nodes before them, so that fan-out, diamonds, chains and parts that nobody reads
// come up together, and one or two of them are roots.
#include <algorithm>
#include <vector>

#include "autograd/autograd.hpp"
#include "tests/shares.hpp"

namespace folio::testing {
namespace {

struct Op {
  bool binary;
  Tensor (*apply)(const Tensor& a, const Tensor& b);
};

/// Of square matrices, so that any node fits any op; bounded, so that finite differences stay sharp.
const std::vector<Op>& ops() {
  using T = const Tensor&;
  constexpr bool unary = false, binary = true;
  static const std::vector<Op> all = {
      {binary, [](T a, T b) { return (a + b) * 0.5; }},
      {binary, [](T a, T b) { return (a - b) * 0.5; }},
      {binary, [](T a, T b) { return tanh(a) * sigmoid(b); }},
      {binary, [](T a, T b) { return tanh(matmul(a, b)); }},
      {binary, [](T a, T b) { return tanh(linear(a, b)); }},
      {binary, [](T a, T b) { return softmax(a, 0) - softmax(b, 1); }},
      {binary, [](T a, T b) { return mean(a, {1}, true) + b * 0.5; }},
      {binary, [](T a, T b) { return rms_norm(a, b.slice(0, 0, 1).reshape({-1}), 0.5); }},
      {binary, [](T a, T b) { return tanh(swiglu(a, b)); }},
      {binary, [](T a, T b) { return exp(a * 0.3) / (softplus(b) + 1.0); }},
      {unary, [](T a, T) { return a.transpose(0, 1); }},
      {unary, [](T a, T) { return a.slice(0, 0, 1).expand(a.shape()); }},
      {unary, [](T a, T) { return log_softmax(a) * 0.25; }},
      {unary,
       [](T a, T) {
         const Tensors parts = split(a, {1, a.dim(1) - 1}, 1);
         return concat({parts[1], parts[0]}, 1);
       }},
  };
  return all;
}

struct Step {
  const Op* op;
  std::size_t a, b;
};

std::size_t below(std::size_t n) { return static_cast<std::size_t>(between(0, static_cast<std::int64_t>(n) - 1)); }

}  // namespace

FOLIO_PROPERTY(Expressions, HaveTheGradientsOfFiniteDifferences) {
  const auto leaves = static_cast<std::size_t>(between(1, 3));
  const std::int64_t n = between(1, 4);
  std::vector<Step> steps;
  std::vector<int> readers(leaves);
  for (std::int64_t i = between(3, 24); i > 0; --i) {
    const Step step = {&ops()[below(ops().size())], below(readers.size()), below(readers.size())};
    steps.push_back(step);
    ++readers[step.a];
    readers[step.b] += step.op->binary;
    readers.push_back(0);
  }
  const bool two_roots = between(0, 1) == 1;
  const std::size_t other = leaves + below(steps.size());

  shares.note("of ten nodes or more", steps.size() >= 10, 40);
  shares.note("with a node read more than twice", std::ranges::any_of(readers, [](int r) { return r > 2; }), 50);
  shares.note("with a part that nobody reads", std::ranges::count(readers, 0) > (two_roots ? 2 : 1), 40);
  shares.note("of two roots", two_roots, 30);
  shares.note("of several leaves", leaves > 1, 40);

  Generator generator(seed);
  Tensors inputs;
  for (std::size_t i = 0; i < leaves; ++i) inputs.push_back(randn({n, n}, generator, {DType::float64}));
  // The leaves are added to what is looked at: an expression in which all cancels (a − a) would leave rounding to compare
  // with rounding.
  const auto f = [&](const Tensors& in) {
    Tensors nodes = in;
    for (const Step& s : steps) nodes.push_back(s.op->apply(nodes[s.a], nodes[s.b]));
    Tensor root = nodes.back();
    for (const Tensor& leaf : in) root = root + leaf;
    return two_roots ? Tensors{root, nodes[other]} : Tensors{root};
  };
  const GradcheckReport report = gradcheck(f, inputs, {.directions = 2, .seed = seed});
  RC_LOG() << report << '\n';
  RC_ASSERT(report.passed);
}

}  // namespace folio::testing
