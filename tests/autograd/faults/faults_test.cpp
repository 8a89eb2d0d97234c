// The tests are tested: every fault in every op, and in the ops of every module, must make the checks fail. Prints the
// table: which property caught which fault, and the score.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <iostream>
#include <map>
#include <memory>
#include <set>

#include "tests/autograd/faults/fault.hpp"
#include "tests/autograd/properties/compare.hpp"
#include "tests/nn/module_cases.hpp"

namespace folio::testing {
namespace {

constexpr int draws = 40;

/// Faults that find something to change and yet cannot change any gradient, with the algebraic reason.
const std::map<std::pair<std::string, std::string>, std::string> exemptions = {
    {{"add", "swap"}, "da = dy = db: inputs of one shape have one gradient"},
};

enum class Verdict { caught, survived, exempt, not_applicable };

struct Cell {
  Verdict verdict = Verdict::not_applicable;
  std::string by;  ///< what caught it, or the draw that survived
};

/// Prints one row: letters of the properties that caught, '·' where the fault finds nothing to change.
void print_row(const std::string& name, const std::vector<Cell>& cells) {
  std::cout << std::setw(18) << std::left << name;
  for (const Cell& c : cells) {
    const char* mark = c.verdict == Verdict::caught       ? c.by.c_str()
                       : c.verdict == Verdict::survived   ? "SURVIVED"
                       : c.verdict == Verdict::exempt     ? "exempt"
                                                          : "-";
    std::cout << ' ' << std::setw(9) << std::string(mark).substr(0, 9);
  }
  std::cout << '\n';
}

struct Score {
  std::map<Verdict, int> cells;
  void add(const Cell& c) { ++cells[c.verdict]; }
  int applicable() const {
    const auto count = [&](Verdict v) { return cells.contains(v) ? cells.at(v) : 0; };
    return count(Verdict::caught) + count(Verdict::survived) + count(Verdict::exempt);
  }
};

void print_header(const char* what) {
  std::cout << '\n' << std::setw(18) << std::left << what;
  for (const Fault& f : all_faults()) std::cout << ' ' << std::setw(9) << f.name;
  std::cout << '\n';
}

void print_score(Score& score, const char* what) {
  const int applicable = score.applicable(), caught = score.cells[Verdict::caught], exempt = score.cells[Verdict::exempt];
  std::cout << what << ": " << caught << " of " << applicable - exempt << " faults caught ("
            << std::setprecision(4) << 100.0 * caught / std::max(applicable - exempt, 1) << " %), " << exempt << " exempt, "
            << score.cells[Verdict::not_applicable] << " cells where the fault finds nothing to change\n";
  EXPECT_EQ(score.cells[Verdict::survived], 0);
  EXPECT_LE(20 * exempt, applicable) << "more than 5 % exempt";
  EXPECT_GT(applicable, 0);
}

/// Whether planting the fault changes any bit of the gradients of a draw.
bool changes_gradients(const Fault& fault, const OpCase& c, std::uint64_t seed, std::int64_t size) {
  const auto gradients = [&](bool planted) {
    Draw draw(seed, size);
    const Problem p = c.draw(draw);
    const Tensors cotangents = random_cotangents(evaluate(p.f, p.inputs), draw);
    const auto fault_in_place = planted ? std::make_unique<Planted>(fault, c.op) : nullptr;
    return vjp(p.f, p.inputs, cotangents).gradients;
  };
  const Tensors right = gradients(false), wrong = gradients(true);
  for (std::size_t i = 0; i < right.size(); ++i) {
    if (right[i].defined() && !inequality(right[i], wrong[i]).empty()) return true;
  }
  return false;
}

Cell try_op(const Fault& fault, const OpCase& c) {
  int planted = 0;
  bool changed = false;
  for (int i = 0; i < draws; ++i) {
    const auto seed = static_cast<std::uint64_t>(i);
    const std::int64_t size = 2 + i % 5;
    for (const Property& property : all_properties()) {
      if (property.applies != nullptr && !property.applies(c)) continue;
      const Planted fault_in_place(fault, c.op);
      if (!attempt(property, c, seed, size).held) return {Verdict::caught, property.name};
      planted += fault_in_place.times();
    }
    changed = changed || changes_gradients(fault, c, seed, size);
  }
  if (planted == 0) return {};
  const auto exemption = exemptions.find({c.op, fault.name});
  if (exemption != exemptions.end()) {
    std::cout << "exempt: " << fault.name << " in " << c.op << ": " << exemption->second << '\n';
    return {Verdict::exempt, {}};
  }
  return {Verdict::survived, changed ? "gradients changed" : "no gradient changed: a reason is needed in `exemptions`"};
}

TEST(Faults, EveryOneInEveryOpIsCaught) {
  Score score;
  print_header("op");
  for (const OpCase& c : all_cases()) {
    std::vector<Cell> row;
    for (const Fault& fault : all_faults()) {
      row.push_back(try_op(fault, c));
      score.add(row.back());
      EXPECT_FALSE(row.back().verdict == Verdict::survived) << fault.what << ", in " << c.op << ": " << row.back().by;
    }
    print_row(c.op, row);
  }
  print_score(score, "ops");
}

// ── Modules ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/// Gradients of a module's leaves under fixed cotangents.
Tensors leaf_gradients(const ModuleProblem& p) {
  for (Tensor leaf : p.leaves) leaf.zero_grad();
  Draw draw(99);
  Tape tape;
  const Tensors outputs = p.f();
  Tensors roots, cotangents;
  for (const Tensor& y : outputs) {
    if (!y.requires_grad()) continue;
    roots.push_back(y);
    cotangents.push_back(draw.normal(y.shape()));
  }
  tape.backward(roots, cotangents);
  Tensors gradients;
  for (Tensor leaf : p.leaves) {
    gradients.push_back(leaf.grad().defined() ? leaf.grad().clone() : zeros(leaf.shape(), leaf.options()));
    leaf.zero_grad();
  }
  return gradients;
}

/// Whether two sets of gradients differ by more than finite differences could overlook.
bool materially_different(const Tensors& a, const Tensors& b) {
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const std::vector<double> x = a[i].to_vector(), y = b[i].to_vector();
    for (std::size_t j = 0; j < x.size(); ++j) {
      if (!(std::abs(x[j] - y[j]) < 1e300)) return true;
      difference = std::max(difference, std::abs(x[j] - y[j]));
      size = std::max(size, std::abs(x[j]));
    }
  }
  return difference > 1e-5 * size;
}

std::set<std::string> ops_of(const ModuleProblem& p) {
  Tape tape;
  p.f();
  std::set<std::string> ops;
  for (const Entry& e : tape.entries()) ops.insert(e.op.text);
  return ops;
}

/// Plants the fault in each op that the module runs, one op at a time; all that change gradients must be caught.
Cell try_module(const Fault& fault, const ModuleCase& c) {
  Cell cell;
  int caught = 0;
  for (std::uint64_t seed = 0; seed < 2; ++seed) {
    Draw draw(seed, 4);
    const ModuleProblem p = c.draw(draw);
    const Tensors right = leaf_gradients(p);
    for (const std::string& op : ops_of(p)) {
      const Planted fault_in_place(fault, op);
      try {
        if (!materially_different(right, leaf_gradients(p)) || fault_in_place.times() == 0) continue;
        if (gradcheck_leaves(p.f, p.leaves, {.directions = 3, .seed = seed, .locate = false})) {
          return {Verdict::survived, "in " + op + ", seed " + std::to_string(seed)};
        }
      } catch (const Error&) {
      }
      ++caught;
    }
  }
  if (caught > 0) cell = {Verdict::caught, std::to_string(caught) + " of " + std::to_string(caught)};
  return cell;
}

TEST(Faults, EveryOneInEveryModuleIsCaught) {
  Score score;
  print_header("module");
  for (const ModuleCase& c : module_cases()) {
    std::vector<Cell> row;
    for (const Fault& fault : all_faults()) {
      row.push_back(try_module(fault, c));
      score.add(row.back());
      EXPECT_FALSE(row.back().verdict == Verdict::survived) << fault.what << ", in " << c.name << ": " << row.back().by;
    }
    print_row(c.name, row);
  }
  print_score(score, "modules");
}

}  // namespace
}  // namespace folio::testing
