// The tests are tested: every fault in every op, and in the ops of every module, must make a check fail that holds on the
// same draw without it. Prints the tables: which property caught which fault, and the score.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <iostream>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <tuple>

#include "autograd/threads.hpp"
#include "tests/autograd/faults/fault.hpp"
#include "tests/autograd/properties/compare.hpp"
#include "tests/nn/module_cases.hpp"

namespace folio::testing {
namespace {

/// Tried until a fault is caught.
constexpr int draws = 40;
/// What each property gets to show, beyond the first that catches, how much it sees.
constexpr int draws_of_each = 4;

/// Faults that find something to change and yet cannot change any gradient, with the algebraic reason.
const std::map<std::pair<std::string, std::string>, std::string> exemptions = {
    {{"add", "swap"}, "da = dy = db: inputs of one shape have one gradient"},
    {{"moe_softmax", "broadcast"},
     "only the sum that the balance loss divides scores by is broadcast: its gradient is one number for a row of "
     "scores, "
     "which softmax's Jacobian takes to 0"},
};

enum class Verdict { caught, survived, exempt, not_applicable };

struct Cell {
  Verdict verdict = Verdict::not_applicable;
  std::string mark = ".";  ///< what caught it
  std::string why = {};    ///< how it survived, or why it is exempt
};

/// FiniteDifferences → FD, Layouts → La.
std::string short_name(const Property& p) {
  std::string capitals;
  for (const char* c = p.name; *c != 0; ++c) {
    if (*c >= 'A' && *c <= 'Z') capitals += *c;
  }
  return capitals.size() > 1 ? capitals.substr(0, 2) : std::string(p.name).substr(0, 2);
}

/// The cell of a fault that found something to change in an op or module and yet changed no gradient of it.
Cell without_change(const std::string& name, const Fault& fault) {
  const auto reason = exemptions.find({name, fault.name});
  if (reason == exemptions.end()) return {Verdict::survived, "!!", "no gradient changed: `exemptions` needs a reason"};
  return {Verdict::exempt, "-", reason->second};
}

void print_row(const std::string& name, const std::vector<Cell>& cells) {
  std::cout << std::setw(18) << std::left << name;
  for (const Cell& c : cells) {
    std::cout << std::setw(4) << std::right << c.mark;
  }
  std::cout << '\n';
}

/// Faults are the columns of every table.
void print_faults() {
  for (std::size_t i = 0; i < all_faults().size(); ++i) {
    std::cout << std::setw(4) << std::right << i + 1 << "  " << all_faults()[i].name << ": " << all_faults()[i].what
              << '\n';
  }
}
void print_header(const char* what) {
  std::cout << '\n' << std::setw(18) << std::left << what << std::right;
  for (std::size_t i = 0; i < all_faults().size(); ++i) std::cout << std::setw(4) << i + 1;
  std::cout << '\n';
}

class Score {
 public:
  void add(const std::string& name, const Fault& fault, const Cell& c) {
    ++cells_[c.verdict];
    if (c.verdict == Verdict::exempt) exempt_ += "exempt: " + (fault.name + (" in " + name)) + ": " + c.why + '\n';
    EXPECT_FALSE(c.verdict == Verdict::survived) << fault.what << ", in " << name << ": " << c.why;
  }
  void print(const char* what) {
    const int caught = cells_[Verdict::caught], exempt = cells_[Verdict::exempt], survived = cells_[Verdict::survived];
    const int applicable = caught + exempt + survived;
    std::cout << exempt_ << what << ": " << caught << " of " << applicable - exempt << " faults caught ("
              << std::setprecision(4) << 100.0 * caught / std::max(applicable - exempt, 1) << " %), " << exempt
              << " exempt, " << cells_[Verdict::not_applicable] << " cells where the fault finds nothing to change\n";
    EXPECT_EQ(survived, 0);
    EXPECT_LE(20 * exempt, applicable) << "more than 5 % exempt";
    EXPECT_GT(applicable, 0);
  }

 private:
  std::map<Verdict, int> cells_;
  std::string exempt_;
};

// ── Ops ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

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

class Table {
 public:
  Cell cell(const Fault& fault, const OpCase& c) {
    const auto& properties = all_properties();
    Cell cell;
    int planted = 0;
    for (int i = 0; i < draws && (i < draws_of_each || cell.verdict != Verdict::caught); ++i) {
      for (std::size_t p = 0; p < properties.size(); ++p) {
        const Property& property = properties[p];
        if (property.applies != nullptr && !property.applies(c)) continue;
        if (seen_.contains({c.op, fault.name, p})) continue;
        bool held = true;
        {
          const Planted fault_in_place(fault, c.op);
          held = attempt(property, c, seed_of(i), size_of_draw(i)).held;
          planted += fault_in_place.times();
        }
        if (held || !holds_without(c, p, i)) continue;
        seen_.insert({c.op, fault.name, p});
        if (cell.verdict != Verdict::caught) cell = {Verdict::caught, short_name(property)};
      }
    }
    if (cell.verdict == Verdict::caught || planted == 0) return cell;
    bool changed = false;
    for (int i = 0; i < draws && !changed; ++i) changed = changes_gradients(fault, c, seed_of(i), size_of_draw(i));
    return changed ? Cell{Verdict::survived, "!!", "gradients changed"} : without_change(c.op, fault);
  }

  /// In how many ops each property saw each fault.
  void print_properties() const {
    print_header("ops, by property");
    for (std::size_t p = 0; p < all_properties().size(); ++p) {
      std::vector<Cell> row;
      int all = 0;
      for (const Fault& fault : all_faults()) {
        const auto by = [&](const auto& s) { return std::get<1>(s) == fault.name && std::get<2>(s) == p; };
        const auto n = std::count_if(seen_.begin(), seen_.end(), by);
        row.push_back({Verdict::caught, n == 0 ? "." : std::to_string(n)});
        all += static_cast<int>(n);
      }
      print_row(all_properties()[p].name, row);
      EXPECT_GT(all, 0) << all_properties()[p].name << " never failed, whatever was planted";
    }
  }

 private:
  static std::uint64_t seed_of(int draw) { return static_cast<std::uint64_t>(draw); }
  static std::int64_t size_of_draw(int draw) { return 2 + draw % 5; }

  /// Remembered; without it a check that fails anyway would count as one that catches.
  bool holds_without(const OpCase& c, std::size_t property, int draw) {
    const auto [found, fresh] = baseline_.try_emplace({c.op, property, draw}, true);
    if (fresh) {
      const Outcome o = attempt(all_properties()[property], c, seed_of(draw), size_of_draw(draw));
      found->second = o.held;
      EXPECT_TRUE(o.held) << "with nothing planted: " << o.message;
    }
    return found->second;
  }

  std::map<std::tuple<std::string, std::size_t, int>, bool> baseline_;  // op, property, draw
  std::set<std::tuple<std::string, std::string, std::size_t>> seen_;    // op, fault, property
};

class Faults : public ::testing::Test {
 protected:
  Faults() { set_num_threads(1); }  // draws are tiny: more threads would only wait for each other
};

TEST_F(Faults, EveryOneInEveryOpIsCaught) {
  Score score;
  Table table;
  print_faults();
  print_header("op");
  for (const OpCase& c : all_cases()) {
    std::vector<Cell> row;
    for (const Fault& fault : all_faults()) {
      row.push_back(table.cell(fault, c));
      score.add(c.op, fault, row.back());
    }
    print_row(c.op, row);
  }
  table.print_properties();
  score.print("ops");
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

/// By how much gradients differ, at most, as a share of the largest of the same leaf: infinite where one is not finite or
/// where the right ones are all 0.
double change(const Tensors& right, const Tensors& wrong) {
  double most = 0;
  for (std::size_t i = 0; i < right.size(); ++i) {
    const std::vector<double> x = right[i].to_vector(), y = wrong[i].to_vector();
    double difference = 0, size = 0;
    for (std::size_t j = 0; j < x.size(); ++j) {
      if (!std::isfinite(y[j])) return std::numeric_limits<double>::infinity();
      difference = std::max(difference, std::abs(x[j] - y[j]));
      size = std::max(size, std::abs(x[j]));
    }
    if (difference > 0) most = std::max(most, difference / size);
  }
  return most;
}
/// A change up to here is float64's own rounding, by which two right ways to one gradient differ: a sum over a softmax,
/// say, to which a constant is added.
constexpr double of_rounding = 1e-14;

std::set<std::string> ops_of(const ModuleProblem& p) {
  Tape tape;
  p.f();
  std::set<std::string> ops;
  for (const Entry& e : tape.entries()) ops.insert(e.op.text);
  return ops;
}

/// What came of planting a fault in one op of one draw of a module.
enum class Planting { seen_along_directions, seen_at_an_element, seen_at_a_scalar, unseen, only_rounding, no_change };
using Plantings = std::map<Planting, int>;

/// Looks closer until the fault is seen.
class ModuleTable {
 public:
  Cell cell(const Fault& fault, const ModuleCase& c) {
    int caught = 0, planted = 0;
    for (std::uint64_t seed = 0; seed < 2; ++seed) {
      Draw draw(seed, 4);
      const ModuleProblem p = c.draw(draw);
      const Tensors right = leaf_gradients(p);
      for (const std::string& op : ops_of(p)) {
        const std::optional<Planting> came = plant(fault, op, c, p, seed, right);
        if (!came) continue;
        ++planted;
        ++plantings_[*came];
        if (*came == Planting::unseen) return {Verdict::survived, "!!", "in " + op + ", seed " + std::to_string(seed)};
        caught += *came < Planting::unseen;
      }
    }
    if (caught > 0) return {Verdict::caught, std::to_string(caught)};
    if (planted == 0) return {};
    return without_change(c.name, fault);
  }

  void print() {
    auto& n = plantings_;
    std::cout << "Cells count the ops of two draws in which the fault was seen: " << n[Planting::seen_along_directions]
              << " times along random directions, " << n[Planting::seen_at_an_element]
              << " times only at each element by itself, " << n[Planting::seen_at_a_scalar]
              << " times only at a scalar output alone. " << n[Planting::no_change]
              << " times more no bit of a gradient changed, and " << n[Planting::only_rounding]
              << " times none by more than " << of_rounding << " of the largest of its leaf, which is rounding. "
              << n[Planting::unseen] << " times it changed a gradient and was not seen.\n";
  }

 private:
  static constexpr std::pair<Look, Planting> looks[] = {
      {Look::along_directions, Planting::seen_along_directions},
      {Look::at_each_element, Planting::seen_at_an_element},
      {Look::at_scalars_alone, Planting::seen_at_a_scalar},
  };

  /// Nothing if the fault finds nothing to change.
  std::optional<Planting> plant(const Fault& fault, const std::string& op, const ModuleCase& c, const ModuleProblem& p,
                                std::uint64_t seed, const Tensors& right) {
    double changed = std::numeric_limits<double>::infinity();
    {
      const Planted fault_in_place(fault, op);
      try {
        changed = change(right, leaf_gradients(p));
      } catch (const Error&) {  // as good as a gradient that is not finite
      }
      if (fault_in_place.times() == 0) return {};
    }
    if (changed == 0) return Planting::no_change;
    if (changed <= of_rounding) return Planting::only_rounding;
    for (const auto& [look, seen] : looks) {
      if (look == Look::at_scalars_alone && !has_scalar_beside_others(p)) continue;
      if (!holds(p, look, seed, fault, op) && holds_without(c, p, look, seed)) return seen;
    }
    return Planting::unseen;
  }

  static bool holds(const ModuleProblem& p, Look look, std::uint64_t seed, const Fault& fault, const std::string& op) {
    const Planted fault_in_place(fault, op);
    try {
      return check(p, look, seed).passed;
    } catch (const Error&) {
      return false;
    }
  }

  /// Remembered; without it a check that fails anyway would count as one that sees.
  bool holds_without(const ModuleCase& c, const ModuleProblem& p, Look look, std::uint64_t seed) {
    const auto [found, fresh] = baseline_.try_emplace({c.name, look, seed}, true);
    if (fresh) {
      const GradcheckReport report = check(p, look, seed);
      found->second = report.passed;
      EXPECT_TRUE(report) << "with nothing planted: " << c.name << " seed " << seed << ": " << report;
    }
    return found->second;
  }

  std::map<std::tuple<std::string, Look, std::uint64_t>, bool> baseline_;  // module, look, seed
  Plantings plantings_;
};

TEST_F(Faults, EveryOneInEveryModuleIsCaught) {
  Score score;
  ModuleTable table;
  print_faults();
  print_header("module");
  for (const ModuleCase& c : module_cases()) {
    std::vector<Cell> row;
    for (const Fault& fault : all_faults()) {
      row.push_back(table.cell(fault, c));
      score.add(c.name, fault, row.back());
    }
    print_row(c.name, row);
  }
  table.print();
  score.print("modules");
}

}  // namespace
}  // namespace folio::testing
