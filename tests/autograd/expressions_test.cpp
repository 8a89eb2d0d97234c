// Random expressions: nodes read any nodes before them, so that fan-out, diamonds, chains and parts that nobody reads
// come up together, and one or two of them are roots.
#include <algorithm>
#include <vector>

#include "autograd/autograd.hpp"
#include "tests/shares.hpp"

namespace folio::testing {
namespace {

struct Step {
  int op;
  std::size_t a, b;
};
constexpr int ops = 14;
constexpr bool reads_both(int op) { return op != 5 && op != 8 && op < 12; }

/// Square matrices, so that any node fits any op; bounded, so that finite differences stay sharp.
Tensor apply(int op, const Tensor& a, const Tensor& b) {
  const std::int64_t n = a.dim(0);
  const auto first_row = [n](const Tensor& x) { return x.slice(0, 0, 1).reshape({n}); };
  switch (op) {
    case 0: return (a + b) * 0.5;
    case 1: return (a - b) * 0.5;
    case 2: return tanh(a) * sigmoid(b);
    case 3: return tanh(matmul(a, b));
    case 4: return tanh(linear(a, b));
    case 5: return a.transpose(0, 1);
    case 6: return softmax(a, 0) - softmax(b, 1);
    case 7: return mean(a, {1}, true) + b * 0.5;
    case 8: return a.slice(0, n - 1, n).expand({n, n});
    case 9: return rms_norm(a, first_row(b), 0.5);
    case 10: return tanh(swiglu(a, b));
    case 11: return exp(a * 0.3) / (softplus(b) + 1.0);
    case 12: {
      const Tensors parts = split(a, {1, n - 1}, 1);
      return concat({parts[1], parts[0]}, 1);
    }
    default: return log_softmax(a) * 0.25;
  }
}

std::int64_t between(std::int64_t low, std::int64_t high) {
  return *rc::gen::resize(rc::kNominalSize, rc::gen::inRange<std::int64_t>(low, high + 1));
}

}  // namespace

FOLIO_PROPERTY(Expressions, HaveTheGradientsOfFiniteDifferences) {
  const auto leaves = static_cast<std::size_t>(between(1, 3));
  const std::int64_t n = between(1, 4);
  std::vector<Step> steps;
  std::vector<int> readers(leaves);
  for (std::int64_t i = between(3, 24); i > 0; --i) {
    const auto any = [&] {
      return static_cast<std::size_t>(between(0, static_cast<std::int64_t>(readers.size()) - 1));
    };
    steps.push_back({static_cast<int>(between(0, ops - 1)), any(), any()});
    ++readers[steps.back().a];
    if (reads_both(steps.back().op)) ++readers[steps.back().b];
    readers.push_back(0);
  }
  const bool two_roots = between(0, 1) == 1;
  const auto other = leaves + static_cast<std::size_t>(between(0, static_cast<std::int64_t>(steps.size()) - 1));

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
    for (const Step& s : steps) nodes.push_back(apply(s.op, nodes[s.a], nodes[s.b]));
    Tensor root = nodes.back();
    for (const Tensor& leaf : in) root = root + leaf;
    return two_roots ? Tensors{root, nodes[other]} : Tensors{root};
  };
  const GradcheckReport report = gradcheck(f, inputs, {.directions = 2, .seed = seed});
  RC_LOG() << report << '\n';
  RC_ASSERT(report.passed);
}

}  // namespace folio::testing
