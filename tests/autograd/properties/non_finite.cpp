// 9. Never a quiet number: a NaN in an input reaches every output that depends on that element, and a NaN upstream every
// gradient that depends on it, or the op throws. What depends on an element is found by trying very different values
// there. An infinity gives something non-finite or the limit that the function has.
#include <cmath>
#include <limits>
#include <map>

#include "tests/autograd/properties/compare.hpp"

namespace folio::testing {
namespace {

/// Ops of which some elements may have no say, whatever their value, and why.
const std::map<std::string, const char*> may_ignore = {
    {"where", "the branch that the condition does not choose"},
    {"slice", "elements outside the range"},
    {"split", "pieces that the draw leaves unused"},
    {"gather", "elements that no index names"},
    {"embedding", "rows that no index names"},
    {"expert_matmul", "the matrices of experts without tokens"},
    {"cross_entropy", "rows whose target is ignored"},
    {"dropout", "elements that are dropped"},
    {"power", "x^0 is 1 for every x"},
    {"scale", "0·x is 0 for every finite x"},
    {"clamp", "an empty interval, low = high"},
};

/// Ops whose outputs may swap places when one element changes, so that an output can depend on an element only by not
/// being it. There a NaN must come out somewhere, not everywhere.
const std::map<std::string, const char*> sorts = {
    {"top_k", "the outputs are in order, so a NaN takes one place and moves the others"},
    {"choose_experts", "the weights are in the order of the choices, likewise"},
};

constexpr double probes[] = {1e3, -1e3, 0.37};

struct Place {
  std::size_t input;
  std::int64_t element;
};

Tensors with(const Tensors& xs, const Place& at, double value, bool relative = false) {
  Tensors changed = xs;
  std::vector<double> values = xs[at.input].to_vector();
  double& x = values[static_cast<std::size_t>(at.element)];
  x = relative ? x + value : value;
  changed[at.input] = from_vector(values, xs[at.input].shape(), xs[at.input].options());
  return changed;
}

using Flags = std::vector<std::vector<bool>>;

/// Marks elements of `after` that differ from `before`.
void mark_changes(const Tensors& before, const Tensors& after, Flags& changed) {
  changed.resize(before.size());
  for (std::size_t i = 0; i < before.size(); ++i) {
    if (!before[i].defined() || !is_float(before[i].dtype())) continue;
    const std::vector<double> a = before[i].to_vector(), b = after[i].to_vector();
    changed[i].resize(a.size());
    for (std::size_t j = 0; j < a.size(); ++j) {
      if (!(a[j] == b[j])) changed[i][j] = true;
    }
  }
}

bool any(const Flags& flags) {
  for (const auto& part : flags) {
    for (bool f : part) {
      if (f) return true;
    }
  }
  return false;
}

/// Every flagged element (or at least one) must be non-finite.
void expect_non_finite(const Tensors& results, const Flags& flags, bool everywhere, const std::string& what) {
  bool found = false;
  for (std::size_t i = 0; i < flags.size(); ++i) {
    if (flags[i].empty()) continue;
    const std::vector<double> values = results[i].to_vector();
    for (std::size_t j = 0; j < values.size(); ++j) {
      const bool finite = std::isfinite(values[j]);
      found = found || !finite;
      expect(finite == false || !flags[i][j] || !everywhere, what + " " + std::to_string(i) + " element " +
                                                                 std::to_string(j) + " is a quiet " +
                                                                 std::to_string(values[j]));
    }
  }
  expect(found, what + "s show nothing of it");
}

bool shows_nothing(const Tensors& results) {
  for (const Tensor& y : results) {
    for (double v : y.to_vector()) {
      if (!std::isfinite(v)) return false;
    }
  }
  return true;
}

void check_forward(Trial& t, const Tensors& outputs, const Place& at) {
  const Problem& p = t.problem;
  const std::string op = t.op_case.op;
  Flags depends;
  bool limits_hold = true;
  for (double probe : probes) {
    Tensors moved;
    try {
      moved = evaluate(p.f, with(p.inputs, at, probe, true));
    } catch (const Error&) {
      continue;
    }
    mark_changes(outputs, moved, depends);
  }
  const std::string where = " at input " + std::to_string(at.input) + " element " + std::to_string(at.element);
  const bool ignored = !any(depends);
  try {
    const Tensors results = evaluate(p.f, with(p.inputs, at, std::numeric_limits<double>::quiet_NaN()));
    if (ignored && shows_nothing(results)) {
      expect(may_ignore.contains(op),
             "NaN" + where + " leaves no trace, and the op is not listed as one that may ignore values");
      t.exempt = true;
      return;
    }
    expect_non_finite(results, depends, !sorts.contains(op), "NaN" + where + ": output");
    ++t.checked;
  } catch (const Error&) {
  }
  for (double sign : {1.0, -1.0}) {
    Tensors results, nearly;
    try {
      results = evaluate(p.f, with(p.inputs, at, sign * std::numeric_limits<double>::infinity()));
      nearly = evaluate(p.f, with(p.inputs, at, sign * 1e30));
    } catch (const Error&) {
      continue;
    }
    for (std::size_t i = 0; i < results.size(); ++i) {
      if (!is_float(results[i].dtype())) continue;
      const std::vector<double> a = results[i].to_vector(), b = nearly[i].to_vector();
      for (std::size_t j = 0; j < a.size(); ++j) {
        if (std::isnan(b[j])) continue;  // outside the function's domain, as powers of negative numbers are: no limit
        limits_hold = !std::isfinite(a[j]) || std::abs(a[j] - b[j]) <= 1e-5 * std::max(1.0, std::abs(a[j]));
        expect(limits_hold, "infinity" + where + ": output " + std::to_string(i) + " element " + std::to_string(j) +
                                " is " + std::to_string(a[j]) + " where the limit is " + std::to_string(b[j]));
      }
    }
    ++t.checked;
  }
}

void check_backward(Trial& t, const Tensors& outputs, const Place& at) {
  const Problem& p = t.problem;
  const Tensors v = random_cotangents(outputs, t.draw);
  const Tensors base = vjp(p.f, p.inputs, v).gradients;
  Flags depends;
  for (double probe : probes) mark_changes(base, vjp(p.f, p.inputs, with(v, at, probe, true)).gradients, depends);
  if (!any(depends))
    return;  // a masked output, a flat piece: its derivative is 0 and finite differences have seen that
  try {
    const Tensors results = vjp(p.f, p.inputs, with(v, at, std::numeric_limits<double>::quiet_NaN())).gradients;
    expect_non_finite(
        results, depends, true,
        "NaN upstream at output " + std::to_string(at.input) + " element " + std::to_string(at.element) + ": gradient");
    ++t.checked;
  } catch (const Error&) {
  }
}

void check(Trial& t) {
  const Problem& p = t.problem;
  const Tensors outputs = evaluate(p.f, p.inputs);
  std::int64_t results = 0;
  for (const Tensor& y : outputs) results += y.numel();
  if (results == 0) return;
  bool all_exempt = true;
  for (std::size_t i = 0; i < p.inputs.size(); ++i) {
    const Tensor& x = p.inputs[i];
    if (!x.defined() || x.dtype() != DType::float64 || x.numel() == 0) continue;
    t.exempt = false;
    check_forward(t, outputs, {i, t.draw.integer(0, x.numel() - 1)});
    all_exempt = all_exempt && t.exempt;
  }
  t.exempt = all_exempt && t.checked == 0;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i].dtype() != DType::float64 || outputs[i].numel() == 0) continue;
    check_backward(t, outputs, {i, t.draw.integer(0, outputs[i].numel() - 1)});
  }
}

}  // namespace

Property property_non_finite() {
  return {.name = "NonFinite", .claim = "non-finite in gives non-finite out", .check = check, .largest = 40};
}

}  // namespace folio::testing
