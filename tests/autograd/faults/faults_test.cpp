// The tests are tested: every fault in every op, and in the ops of every module, must make a check fail that holds on the
// same draw without it. Prints the tables: which property caught which fault, and the score.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <iostream>
#include <map>
#include <memory>
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
};

enum class Verdict { caught, survived, exempt, not_applicable };

struct Cell {
  Verdict verdict = Verdict::not_applicable;
  std::string mark = ".";  ///< what caught it
  std::string why = {};    ///< how it survived
};

/// FiniteDifferences → FD, Layouts → La.
std::string short_name(const Property& p) {
  std::string capitals;
  for (const char* c = p.name; *c != 0; ++c) {
    if (*c >= 'A' && *c <= 'Z') capitals += *c;
  }
  return capitals.size() > 1 ? capitals.substr(0, 2) : std::string(p.name).substr(0, 2);
}

void print_row(const std::string& name, const std::vector<Cell>& cells) {
  std::cout << std::setw(18) << std::left << name;
  for (const Cell& c : cells) {
    std::cout << std::setw(4) << std::right
              << (c.verdict == Verdict::survived ? "!!"
                  : c.verdict == Verdict::exempt ? "-"
                                                 : c.mark);
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
  void add(const Cell& c) { ++cells_[c.verdict]; }
  void print(const char* what) {
    const int caught = cells_[Verdict::caught], exempt = cells_[Verdict::exempt], survived = cells_[Verdict::survived];
    const int applicable = caught + exempt + survived;
    std::cout << what << ": " << caught << " of " << applicable - exempt << " faults caught (" << std::setprecision(4)
              << 100.0 * caught / std::max(applicable - exempt, 1) << " %), " << exempt << " exempt, "
              << cells_[Verdict::not_applicable] << " cells where the fault finds nothing to change\n";
    EXPECT_EQ(survived, 0);
    EXPECT_LE(20 * exempt, applicable) << "more than 5 % exempt";
    EXPECT_GT(applicable, 0);
  }

 private:
  std::map<Verdict, int> cells_;
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
    if (exemptions.contains({c.op, fault.name})) return {Verdict::exempt};
    bool changed = false;
    for (int i = 0; i < draws && !changed; ++i) changed = changes_gradients(fault, c, seed_of(i), size_of_draw(i));
    return {Verdict::survived, "!!",
            changed ? "gradients changed" : "no gradient changed: `exemptions` needs a reason"};
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
      score.add(row.back());
      EXPECT_FALSE(row.back().verdict == Verdict::survived) << fault.what << ", in " << c.op << ": " << row.back().why;
    }
    print_row(c.op, row);
  }
  table.print_properties();
  for (const auto& [where, reason] : exemptions) {
    std::cout << "exempt: " << where.second << " in " << where.first << ": " << reason << '\n';
  }
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
Cell try_module(const Fault& fault, const ModuleCase& c, int& too_small) {
  int caught = 0;
  for (std::uint64_t seed = 0; seed < 2; ++seed) {
    Draw draw(seed, 4);
    const ModuleProblem p = c.draw(draw);
    const Tensors right = leaf_gradients(p);
    const auto passes = [&] {
      return gradcheck_leaves(p.f, p.leaves, {.directions = 3, .seed = seed, .locate = false}).passed;
    };
    for (const std::string& op : ops_of(p)) {
      const Planted fault_in_place(fault, op);
      try {
        const bool material = materially_different(right, leaf_gradients(p));
        if (fault_in_place.times() == 0) continue;
        if (!material) {
          ++too_small;
          continue;
        }
        if (passes()) return {Verdict::survived, "!!", "in " + op + ", seed " + std::to_string(seed)};
      } catch (const Error&) {
      }
      ++caught;
    }
  }
  return caught > 0 ? Cell{Verdict::caught, std::to_string(caught)} : Cell{};
}

TEST_F(Faults, EveryOneInEveryModuleIsCaught) {
  Score score;
  int too_small = 0;
  print_faults();
  print_header("module");
  for (const ModuleCase& c : module_cases()) {
    for (std::uint64_t seed = 0; seed < 2; ++seed) {  // the draws and directions of try_module
      Draw draw(seed, 4);
      const ModuleProblem p = c.draw(draw);
      const auto report = gradcheck_leaves(p.f, p.leaves, {.directions = 3, .seed = seed});
      EXPECT_TRUE(report) << "with nothing planted: " << c.name << " seed " << seed << ": " << report;
    }
    std::vector<Cell> row;
    for (const Fault& fault : all_faults()) {
      row.push_back(try_module(fault, c, too_small));
      score.add(row.back());
      EXPECT_FALSE(row.back().verdict == Verdict::survived)
          << fault.what << ", in " << c.name << ": " << row.back().why;
    }
    print_row(c.name, row);
  }
  std::cout << "Cells count the ops of two draws in which the fault was caught. In " << too_small
            << " more it changed no gradient of the module by 1e-5 of the largest, less than is sure to be seen from "
               "outside.\n";
  score.print("modules");
}

}  // namespace
}  // namespace folio::testing
