#include "tests/autograd/faults/fault.hpp"

#include <algorithm>
#include <cmath>
#include <ranges>
#include <utility>

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
  for (Tensor& g : std::ranges::reverse_view(dx)) {
    if (!g.defined() || g.numel() == 0) continue;
    g = zeros_like(g);
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
    if (!dx[i].defined() || !dx[i + 1].defined() || !(dx[i].shape() == dx[i + 1].shape()) || dx[i].numel() == 0)
      continue;
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

/// The later half of the rows dropped, as if a batch had been cut short.
bool half_lost(Entry&, Tensors& dx) {
  bool changed = false;
  for (Tensor& g : dx) {
    if (!g.defined() || g.numel() == 0 || g.rank() == 0 || g.dim(0) < 2) continue;
    g = g.clone();
    g.slice(0, (g.dim(0) + 1) / 2, g.dim(0)).fill(0);
    changed = true;
  }
  return changed;
}
bool constant_added(Entry&, Tensors& dx) {
  return each(dx, [](const Tensor& g) { return scale(g, 1, 1e-3); });
}
/// Applies `f` to every element of every gradient; true if a value became another.
template <class F>
bool each_element(Tensors& gradients, F&& f) {
  bool changed = false;
  for (Tensor& g : gradients) {
    if (!g.defined()) continue;
    std::vector<double> values = g.to_vector();
    bool here = false;
    for (double& v : values) {
      const double other = f(v);
      here = here || !(other == v || (std::isnan(other) && std::isnan(v)));
      v = other;
    }
    if (here) g = from_vector(values, g.shape(), g.options());
    changed = changed || here;
  }
  return changed;
}
bool rounded(Entry&, Tensors& dx) {
  return each_element(dx, [](double v) { return static_cast<double>(static_cast<float>(v)); });
}
bool nan_hidden(Entry&, Tensors& dx) {
  return each_element(dx, [](double v) { return std::isnan(v) ? 0.0 : v; });
}
bool narrow_wrong(Entry&, Tensors& dx) {
  bool changed = false;
  for (Tensor& g : dx) {
    if (!g.defined() || g.numel() == 0 || g.dtype() != DType::float32) continue;
    g = scale(g, 1.001);
    changed = true;
  }
  return changed;
}
/// The upstream gradient read in the order of its memory, as if it were packed.
bool strides_ignored(Entry&, Tensors& dy) {
  bool changed = false;
  for (Tensor& g : dy) {
    if (!g.defined() || g.is_contiguous()) continue;
    const auto held = static_cast<std::int64_t>(g.storage()->bytes() / size_of(g.dtype()));
    if (g.offset() + g.numel() > held) continue;
    g = Tensor(g.storage(), g.offset(), g.shape(), contiguous_strides(g.shape()), g.dtype());
    changed = true;
  }
  return changed;
}
bool output_forgotten(Entry&, Tensors& dy) {
  if (dy.size() < 2 || !dy.back().defined() || dy.back().numel() == 0) return false;
  dy.back() = zeros_like(dy.back());
  return true;
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
      {.name = "broadcast",
       .what = "the sum over broadcast dimensions skipped",
       .point = Point::skip_broadcast_reduction},
      {.name = "overwrite", .what = "gradients overwritten instead of added up", .point = Point::overwrite_gradient},
      {.name = "constant", .what = "0.001 added to each gradient", .after = constant_added},
      {.name = "half", .what = "the later half of the rows of each gradient dropped", .after = half_lost},
      {.name = "rounded", .what = "gradients rounded to float32", .after = rounded},
      {.name = "float32", .what = "gradients 0.1 % too large in float32 only", .after = narrow_wrong},
      {.name = "packed", .what = "the upstream gradient read as if it were packed", .before = strides_ignored},
      {.name = "nan", .what = "NaN in gradients turned into 0", .after = nan_hidden},
      {.name = "forgotten",
       .what = "the gradient of the last of several outputs forgotten",
       .before = output_forgotten},
      {.name = "mask", .what = "the causal mask shifted by one, or dropout's drawn anew", .point = Point::shift_mask},
  };
  return faults;
}

}  // namespace folio::testing
