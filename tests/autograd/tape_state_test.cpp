// Any sequence of what can happen to tapes, against a model that carries every derivative forwards. Values are whole
// numbers, so both agree to the last bit.
#include <array>
#include <cmath>
#include <memory>
#include <optional>
#include <ostream>
#include <algorithm>
#include <vector>

#include "autograd/autograd.hpp"
#include "tests/error_of.hpp"
#include "tests/shares.hpp"
// after gtest
#include <rapidcheck/state.h>

namespace folio::testing {
namespace {

constexpr std::size_t leaf_count = 3;
constexpr std::array<double, leaf_count> leaf_values = {2, -1, 3};
constexpr double largest_factor = 1 << 20;  // products stay exact
using Slope = std::array<double, leaf_count>;
using Leaves = std::array<bool, leaf_count>;

constexpr int constant = 0, walked = -1;

/// A value, its derivatives by the leaves, the leaves that its gradient reaches, and the tape that recorded it: its
/// number, `constant`, or `walked`.
struct Value {
  double value = 0;
  Slope slope = {};
  Leaves reaches = {};
  int tape = constant;
};

struct OpenTape {
  int number;
  std::size_t entries = 0;
};

struct Model {
  std::vector<Value> values;
  std::vector<OpenTape> tapes;
  std::array<std::optional<double>, leaf_count> gradients;
  int opened = 0;

  std::size_t operands() const { return leaf_count + values.size(); }
  bool is_leaf(std::size_t i) const { return i < leaf_count; }
  Value operand(std::size_t i) const {
    if (!is_leaf(i)) return values[i - leaf_count];
    Value v = {.value = leaf_values[i]};
    v.slope[i] = 1;
    v.reaches[i] = true;
    return v;
  }
};

/// The real thing beside it.
struct Real {
  Shares& shares;
  Tensors leaves, values;
  std::vector<std::unique_ptr<Tape>> tapes;

  explicit Real(Shares& noted) : shares(noted) {
    for (const double value : leaf_values) leaves.push_back(tensor({value}, {DType::float64}).requires_grad(true));
  }
  const Tensor& operand(std::size_t i) const { return i < leaf_count ? leaves[i] : values[i - leaf_count]; }
};

void agree(const Model& model, const Real& real) {
  std::size_t entries = 0;
  for (std::size_t i = 0; i < model.tapes.size(); ++i) {
    entries += model.tapes[i].entries;
    RC_ASSERT(real.tapes[i]->entries().size() == model.tapes[i].entries);
    RC_ASSERT(model.tapes[i].entries > 0 || real.tapes[i]->saved_bytes() == 0);
  }
  RC_ASSERT(live_entries() == entries);
  RC_ASSERT(Tape::current() == (real.tapes.empty() ? nullptr : real.tapes.back().get()));
  for (std::size_t i = 0; i < leaf_count; ++i) {
    const Tensor g = real.leaves[i].grad();
    RC_ASSERT(g.defined() == model.gradients[i].has_value());
    if (g.defined()) {
      RC_ASSERT(g.item() == model.gradients[i].value_or(0));
    }
  }
  for (std::size_t i = 0; i < model.values.size(); ++i) {
    RC_ASSERT(real.values[i].item() == model.values[i].value);
    RC_ASSERT(real.values[i].requires_grad() == (model.values[i].tape != constant));
  }
}

using Command = rc::state::Command<Model, Real>;

/// An index into n things; 0 where there are none, which preconditions refuse.
std::size_t below(std::size_t n) {
  return static_cast<std::size_t>(between(0, std::max<std::int64_t>(static_cast<std::int64_t>(n) - 1, 0)));
}

template <class T>
void erase(std::vector<T>& from, std::size_t which) {
  from.erase(from.begin() + static_cast<std::ptrdiff_t>(which));
}

/// Often one of the last, so that expressions grow deep.
std::size_t recent(std::size_t n) { return below(3) == 0 ? below(n) : n - 1 - below(std::min<std::size_t>(n, 3)); }

struct Open : Command {
  void checkPreconditions(const Model& m) const override { RC_PRE(m.tapes.size() < 3); }
  void apply(Model& m) const override { m.tapes.push_back({++m.opened}); }
  void run(const Model& m, Real& real) const override {
    real.tapes.push_back(std::make_unique<Tape>());
    real.shares.note("with a tape inside another", real.tapes.size() > 1, 20);
    agree(nextState(m), real);
  }
  void show(std::ostream& out) const override { out << "open a tape"; }
};

/// Tapes on the heap go in any order.
struct Close : Command {
  explicit Close(const Model& m) : which(below(m.tapes.size())) {}
  std::size_t which;
  void checkPreconditions(const Model& m) const override { RC_PRE(which < m.tapes.size()); }
  void apply(Model& m) const override { erase(m.tapes, which); }
  void run(const Model& m, Real& real) const override {
    real.shares.note("in which an outer tape goes before an inner one", which + 1 < real.tapes.size(), 10);
    erase(real.tapes, which);
    agree(nextState(m), real);
  }
  void show(std::ostream& out) const override { out << "close tape " << which; }
};

struct Compute : Command {
  explicit Compute(const Model& m) : op(below(3)), a(recent(m.operands())), b(recent(m.operands())) {}
  std::size_t op, a, b;

  /// Refused where an operand was recorded elsewhere and a tape is in scope.
  bool refused(const Model& m) const {
    if (m.tapes.empty()) return false;
    const auto foreign = [&](std::size_t i) {
      const int tape = m.operand(i).tape;
      return !m.is_leaf(i) && tape != constant && tape != m.tapes.back().number;
    };
    return foreign(a) || foreign(b);
  }
  void checkPreconditions(const Model& m) const override {
    RC_PRE(a < m.operands());
    RC_PRE(b < m.operands());
    for (const std::size_t i : {a, b}) {
      const Value v = m.operand(i);
      RC_PRE(std::abs(v.value) < largest_factor);
      for (const double slope : v.slope) RC_PRE(std::abs(slope) < largest_factor);
    }
  }
  void apply(Model& m) const override {
    if (refused(m)) return;
    const Value x = m.operand(a), y = m.operand(b);
    const auto differentiable = [&](std::size_t i) { return m.is_leaf(i) || m.operand(i).tape != constant; };
    Value z = {.value = op == 0 ? x.value + y.value : op == 1 ? x.value - y.value : x.value * y.value};
    if (!m.tapes.empty() && (differentiable(a) || differentiable(b))) {
      z.tape = m.tapes.back().number;
      ++m.tapes.back().entries;
      for (std::size_t i = 0; i < leaf_count; ++i) {
        z.reaches[i] = x.reaches[i] || y.reaches[i];
        z.slope[i] = op == 0   ? x.slope[i] + y.slope[i]
                     : op == 1 ? x.slope[i] - y.slope[i]
                               : x.slope[i] * y.value + x.value * y.slope[i];
      }
    }
    m.values.push_back(z);
  }
  void run(const Model& m, Real& real) const override {
    const Tensor x = real.operand(a), y = real.operand(b);
    Tensor z;
    const std::string error = error_of([&] { z = op == 0 ? x + y : op == 1 ? x - y : x * y; });
    RC_ASSERT(error.empty() != refused(m));
    real.shares.note("in which an op is refused", refused(m), 10);
    if (refused(m)) {
      RC_ASSERT(error.find("belongs to another recording") != std::string::npos);
    } else {
      real.values.push_back(z);
    }
    agree(nextState(m), real);
  }
  void show(std::ostream& out) const override { out << a << ' ' << "+-*"[op] << ' ' << b; }
};

struct Drop : Command {
  explicit Drop(const Model& m) : which(below(m.values.size())) {}
  std::size_t which;
  void checkPreconditions(const Model& m) const override { RC_PRE(which < m.values.size()); }
  void apply(Model& m) const override { erase(m.values, which); }
  void run(const Model& m, Real& real) const override {
    erase(real.values, which);
    agree(nextState(m), real);
  }
  void show(std::ostream& out) const override { out << "drop " << which + leaf_count; }
};

struct Backward : Command {
  explicit Backward(const Model& m) : root(recent(m.operands())), tape(below(m.tapes.size())) {}
  std::size_t root, tape;

  const char* refusal(const Model& m) const {
    const int recorded = m.operand(root).tape;
    if (m.is_leaf(root)) return nullptr;
    if (recorded == constant) return "does not depend on any tensor that requires a gradient";
    if (recorded == walked) return "called twice";
    return recorded == m.tapes[tape].number ? nullptr : "recorded on another tape";
  }
  void checkPreconditions(const Model& m) const override {
    RC_PRE(tape < m.tapes.size());
    RC_PRE(root < m.operands());
  }
  void apply(Model& m) const override {
    if (refusal(m) != nullptr) return;
    const Value from = m.operand(root);
    for (std::size_t i = 0; i < leaf_count; ++i) {
      if (from.reaches[i]) m.gradients[i] = m.gradients[i].value_or(0) + from.slope[i];
    }
    for (Value& v : m.values) v.tape = v.tape == m.tapes[tape].number ? walked : v.tape;
    m.tapes[tape].entries = 0;
  }
  void run(const Model& m, Real& real) const override {
    const char* expected = refusal(m);
    const std::string error = error_of([&] { real.tapes[tape]->backward(real.operand(root)); });
    RC_ASSERT(error.empty() == (expected == nullptr));
    if (expected != nullptr) {
      RC_ASSERT(error.find(expected) != std::string::npos);
    }
    real.shares.note("in which backward is refused", expected != nullptr, 10);
    real.shares.note("in which backward walks several entries", expected == nullptr && m.tapes[tape].entries > 1, 10);
    real.shares.note("in which backward adds to a gradient", expected == nullptr && m.gradients != Model().gradients,
                     10);
    agree(nextState(m), real);
  }
  void show(std::ostream& out) const override { out << "backward from " << root << " on tape " << tape; }
};

struct Zero : Command {
  explicit Zero(const Model&) : leaf(below(leaf_count)) {}
  std::size_t leaf;
  void apply(Model& m) const override { m.gradients[leaf].reset(); }
  void run(const Model& m, Real& real) const override {
    real.leaves[leaf].zero_grad();
    agree(nextState(m), real);
  }
  void show(std::ostream& out) const override { out << "zero the gradient of " << leaf; }
};

}  // namespace

FOLIO_PROPERTY(Tapes, DoAsTheModelDoes) {
  const auto before = memory_statistics().live;
  {
    Real real(shares);
    rc::state::check(Model(), real,
                     rc::state::gen::execOneOfWithArgs<Open, Compute, Compute, Compute, Compute, Drop, Close, Backward,
                                                       Backward, Zero>());
  }
  RC_ASSERT(live_entries() == 0);
  RC_ASSERT(memory_statistics().live == before);
}

}  // namespace folio::testing
