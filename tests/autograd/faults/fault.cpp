#include "tests/autograd/faults/fault.hpp"

#include <algorithm>

#include "autograd/ops.hpp"

namespace folio::testing {
namespace {

/// Applies `change` to every gradient that an entry returns; true if one was changed.
template <class Change>
bool each(Tensors& gradients, Change&& change) {
  bool changed = false;
  for (Tensor& g : gradients) {
    if (!g.defined() || g.numel() == 0) continue;
    g = change(g);
    changed = true;
  }
  return changed;
}

Tensor zeros_like(const Tensor& x) { return zeros(x.shape(), x.options()); }

bool scaled(Entry&, Tensors& dx) {
  return each(dx, [](const Tensor& g) { return scale(g, 1.001); });
}
bool negated(Entry&, Tensors& dx) {
  return each(dx, [](const Tensor& g) { return scale(g, -1); });
}
bool first_zero(Entry&, Tensors& dx) {
  for (Tensor& g : dx) {
    if (!g.defined() || g.numel() == 0) continue;
    g = zeros_like(g);
    return true;
  }
  return false;
}
bool last_zero(Entry&, Tensors& dx) {
  for (auto g = dx.rbegin(); g != dx.rend(); ++g) {
    if (!g->defined() || g->numel() == 0) continue;
    *g = zeros_like(*g);
    return true;
  }
  return false;
}
bool upstream_ignored(Entry&, Tensors& dy) {
  return each(dy, [](const Tensor& g) { return ones(g.shape(), g.options()); });
}
/// The data of the transpose under the old shape; a vector is reversed.
Tensor transposed_data(const Tensor& g) {
  if (g.rank() >= 2 && g.dim(-1) > 1 && g.dim(-2) > 1) return g.transpose(-1, -2).contiguous().reshape(g.shape());
  const std::vector<double> values = g.to_vector();
  return from_vector(std::vector<double>(values.rbegin(), values.rend()), g.shape(), g.options());
}
bool transposed(Entry&, Tensors& dx) {
  bool changed = false;
  for (Tensor& g : dx) {
    if (!g.defined() || g.numel() < 2) continue;
    g = transposed_data(g);
    changed = true;
  }
  return changed;
}
bool last_row_dropped(Entry&, Tensors& dx) {
  return each(dx, [](const Tensor& g) {
    Tensor kept = g.clone();
    (g.rank() == 0 ? kept : kept.slice(0, g.dim(0) - 1, g.dim(0))).fill(0);
    return kept;
  });
}
bool swapped(Entry&, Tensors& dx) {
  for (std::size_t i = 0; i + 1 < dx.size(); ++i) {
    if (!dx[i].defined() || !dx[i + 1].defined() || !(dx[i].shape() == dx[i + 1].shape()) || dx[i].numel() == 0) continue;
    std::swap(dx[i], dx[i + 1]);
    return true;
  }
  return false;
}
/// Saved choices moved by one place; the borders between groups of rows (offsets) moved by one row.
bool mask_shifted(Entry& e, Tensors&) {
  bool changed = false;
  for (std::size_t i = 0; i < e.saved_count(); ++i) {
    if (!e.has_saved(i) || is_float(e.saved(i).dtype()) || e.saved(i).numel() < 2) continue;
    const Tensor& saved = e.saved(i);
    std::vector<double> values = saved.to_vector();
    if (e.op == op::expert_matmul) {
      for (std::size_t j = 1; j + 1 < values.size(); ++j) values[j] = std::min(values[j] + 1, values.back());
    } else {
      std::rotate(values.begin(), values.begin() + 1, values.end());
    }
    const Tensor moved = from_vector(values, saved.shape(), saved.options());
    changed = changed || values != saved.to_vector();
    e.replace_saved(i, moved);
  }
  return changed;
}
/// A saved tensor that is not the one the forward pass used: as if the wrong one had been kept.
bool another_saved(Entry& e, Tensors&) {
  bool changed = false;
  for (std::size_t i = 0; i < e.saved_count(); ++i) {
    if (!e.has_saved(i) || !is_float(e.saved(i).dtype()) || e.saved(i).numel() == 0) continue;
    e.replace_saved(i, scale(e.saved(i), 0.9, 0.05));
    changed = true;
  }
  return changed;
}

bool output_saved(Entry& e, const Tensors& outputs) {
  bool changed = false;
  for (std::size_t i = 0; i < e.saved_count(); ++i) {
    if (!e.has_saved(i)) continue;
    const Tensor& saved = e.saved(i);
    const Tensor& y = outputs.front();
    if (saved.dtype() != y.dtype() || !(saved.shape() == y.shape()) || saved.storage() == y.storage()) continue;
    e.replace_saved(i, y);
    changed = changed || saved.numel() > 0;
  }
  return changed;
}

}  // namespace

const std::vector<Fault>& all_faults() {
  using fault::Point;
  static const std::vector<Fault> faults = {
      {.name = "x1.001", .what = "gradients 0.1 % too large", .after = scaled},
      {.name = "negate", .what = "gradients of the wrong sign", .after = negated},
      {.name = "zero-1st", .what = "no gradient for the first input", .after = first_zero},
      {.name = "zero-last", .what = "no gradient for the last input", .after = last_zero},
      {.name = "upstream", .what = "the upstream gradient ignored", .before = upstream_ignored},
      {.name = "transpose", .what = "gradients transposed (vectors reversed)", .after = transposed},
      {.name = "last-row", .what = "the last row of each gradient dropped", .after = last_row_dropped},
      {.name = "swap", .what = "the gradients of two inputs of one shape swapped", .after = swapped},
      {.name = "choice", .what = "a saved mask or index moved by one place", .before = mask_shifted},
      {.name = "saved", .what = "another tensor saved than the one that was used", .before = another_saved},
      {.name = "output", .what = "the output saved in place of the input", .recorded = output_saved},
      {.name = "broadcast", .what = "the sum over broadcast dimensions skipped", .point = Point::skip_broadcast_reduction},
      {.name = "overwrite", .what = "gradients overwritten instead of added up", .point = Point::overwrite_gradient},
      {.name = "mask", .what = "the causal mask shifted by one", .point = Point::shift_mask},
  };
  return faults;
}

namespace {

struct Plan {
  const Fault* fault = nullptr;
  std::string op;
  int times = 0;

  bool concerns(const Entry& entry) const { return op == entry.op.text; }
};
thread_local Plan plan;

void recorded(Entry& entry, const Tensors& outputs) {
  if (plan.fault->recorded && plan.concerns(entry)) plan.times += plan.fault->recorded(entry, outputs);
}
void before(Entry& entry, Tensors& output_gradients) {
  fault::armed = plan.concerns(entry) ? plan.fault->point : fault::Point::none;
  if (plan.fault->before && plan.concerns(entry)) plan.times += plan.fault->before(entry, output_gradients);
}
void after(Entry& entry, Tensors& input_gradients) {
  if (plan.fault->after && plan.concerns(entry)) plan.times += plan.fault->after(entry, input_gradients);
}

}  // namespace

Planted::Planted(const Fault& fault, std::string op) {
  plan = {&fault, std::move(op), 0};
  fault::hook = {recorded, before, after};
  fault::hits = 0;
}
Planted::~Planted() {
  fault::hook = {};
  fault::armed = fault::Point::none;
}
int Planted::times() const { return plan.times + fault::hits; }

}  // namespace folio::testing
