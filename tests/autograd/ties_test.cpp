// Ties follow the stated rule, in values, indices and gradients: the lowest index among equals wins, −0 equals 0, and
// NaN is beyond every number. On the CPU, and on the CUDA device that it is linked with; CMake names the suite, which is
// Ties or CudaTies.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "autograd/autograd.hpp"
#include "tests/cuda/ops/under_test.hpp"
#include "tests/shares.hpp"

#define FOLIO_PROPERTY_OF(suite, name) FOLIO_PROPERTY(suite, name)
#define FOLIO_PROPERTY_HERE(name) FOLIO_PROPERTY_OF(FOLIO_TIES_SUITE, name)

namespace folio::testing {
namespace {

using Values = std::vector<double>;

Device place() { return under_test::device; }

bool coin() { return between(0, 1) == 1; }
/// Short, or longer than a warp and than the columns that the CPU takes at once.
std::int64_t length() { return coin() ? between(1, 6) : between(30, 140); }

/// A leaf of few different values, in any order of its dimensions.
Tensor tied(const Shape& shape, Values levels) {
  const auto drawn = *rc::gen::container<Values>(static_cast<std::size_t>(numel(shape)), rc::gen::elementOf(levels));
  const DType dtype = coin() ? DType::float64 : DType::float32;
  Tensor x = from_vector(drawn, shape, {dtype}).to(place());
  if (shape.size() > 1 && coin()) x = x.transpose(0, -1).clone().transpose(0, -1);
  return x.requires_grad(true);
}
const double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();
Values drawn_levels() {
  return *rc::gen::element(Values{0, 1}, Values{-0.0, 0.0}, Values{-1, -0.0, 0.0, 2}, Values{-infinity, 3, infinity},
                           Values{1, 2, nan});
}

bool beats(double a, double b, bool largest) {
  if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && !std::isnan(b);
  return largest ? a > b : a < b;
}
bool ties(double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }
bool same(const Values& a, const Values& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](double x, double y) {
    return ties(x, y) && (std::isnan(x) || std::signbit(x) == std::signbit(y));
  });
}

/// Whole numbers, different from each other, as the cotangent.
Tensor numbered(const Tensor& y) {
  return (arange(y.numel(), {DType::float64}) + 1.0).reshape(y.shape()).to(y.dtype()).to(place());
}

Values gradient(Tape& tape, const Tensor& x, const Tensor& y) {
  tape.backward(y, numbered(y));
  return x.grad().to_vector();
}

/// For each output, where in x, row-major, the first of its best elements is; `group` names each element's output.
struct Firsts {
  std::vector<std::size_t> at;
  bool tied = false;  ///< some best has an equal
};
Firsts first_of_best(const Values& x, const std::vector<std::size_t>& group, std::size_t outputs, bool largest) {
  constexpr auto none = static_cast<std::size_t>(-1);
  Firsts f{std::vector<std::size_t>(outputs, none), false};
  for (std::size_t i = 0; i < x.size(); ++i) {
    std::size_t& at = f.at[group[i]];
    if (at == none || beats(x[i], x[at], largest)) at = i;
  }
  for (std::size_t i = 0; i < x.size(); ++i) f.tied = f.tied || (f.at[group[i]] != i && ties(x[i], x[f.at[group[i]]]));
  return f;
}

}  // namespace

FOLIO_PROPERTY_HERE(MaxAndMinTakeTheFirstOfEquals) {
  const auto n = static_cast<std::size_t>(length()), outer = static_cast<std::size_t>(between(1, 3));
  const auto inner = static_cast<std::size_t>(coin() ? 1 : between(1, 70));
  const auto extent = [](std::size_t k) { return static_cast<std::int64_t>(k); };
  const Tensor x = tied({extent(outer), extent(n), extent(inner)}, drawn_levels());
  const Values values = x.to_vector();
  std::vector<std::size_t> group;
  for (std::size_t i = 0; i < values.size(); ++i) group.push_back(i / (n * inner) * inner + i % inner);
  for (const bool largest : {true, false}) {
    Tensor leaf = x;
    leaf.zero_grad();
    Tape tape;
    const auto [y, index] = largest ? max(x, 1) : min(x, 1);
    const Firsts expected = first_of_best(values, group, outer * inner, largest);
    Values best, at, dx(values.size(), 0);
    for (std::size_t o = 0; o < expected.at.size(); ++o) {
      best.push_back(values[expected.at[o]]);
      at.push_back(static_cast<double>(expected.at[o] / inner % n));
      dx[expected.at[o]] = static_cast<double>(o + 1);
    }
    RC_ASSERT(index.to_vector() == at);
    RC_ASSERT(same(y.to_vector(), best));
    RC_ASSERT(gradient(tape, x, y) == dx);
    shares.note("tied", expected.tied, 50);
    shares.note("longer than a warp", n > 32, 20);
  }
}

FOLIO_PROPERTY_HERE(AmaxAndAminSendTheGradientToTheFirstOfEqualsOverSeveralDimensions) {
  const Shape shape = {between(1, 5), between(1, 40), between(1, 4)};
  const Tensor x = tied(shape, drawn_levels());
  const Values values = x.to_vector();
  const std::int64_t chosen = between(1, 7);
  Dims dims;
  Shape kept = shape;
  for (int d = 2; d >= 0; --d) {  // last first: their order must not matter
    if ((chosen >> d & 1) == 0) continue;
    dims.push_back(d);
    kept[d] = 1;
  }
  std::vector<std::size_t> group;
  for (std::int64_t i = 0; i < shape[0]; ++i) {
    for (std::int64_t j = 0; j < shape[1]; ++j) {
      for (std::int64_t k = 0; k < shape[2]; ++k) {
        const std::int64_t a = kept[0] == 1 ? 0 : i, b = kept[1] == 1 ? 0 : j, c = kept[2] == 1 ? 0 : k;
        group.push_back(static_cast<std::size_t>((a * kept[1] + b) * kept[2] + c));
      }
    }
  }
  for (const bool largest : {true, false}) {
    Tensor leaf = x;
    leaf.zero_grad();
    Tape tape;
    const Tensor y = largest ? amax(x, dims, true) : amin(x, dims, true);
    const Firsts expected = first_of_best(values, group, static_cast<std::size_t>(numel(kept)), largest);
    Values dx(values.size(), 0);
    for (std::size_t o = 0; o < expected.at.size(); ++o) dx[expected.at[o]] = static_cast<double>(o + 1);
    RC_ASSERT(gradient(tape, x, y) == dx);
    shares.note("tied", expected.tied, 50);
    shares.note("over several dimensions", dims.size() > 1, 30);
  }
}

FOLIO_PROPERTY_HERE(TopKTakesTheFirstOfEquals) {
  const auto rows = static_cast<std::size_t>(between(1, 4)), n = static_cast<std::size_t>(length());
  const auto k = static_cast<std::size_t>(between(1, std::min<std::int64_t>(9, static_cast<std::int64_t>(n))));
  const Tensor x = tied({static_cast<std::int64_t>(rows), static_cast<std::int64_t>(n)}, drawn_levels());
  const Values values = x.to_vector();
  Values best, at, dx(values.size(), 0);
  bool at_the_edge = false;  // an element that is left out equals one that is taken
  for (std::size_t row = 0; row < rows; ++row) {
    const double* in = values.data() + row * n;
    std::vector<std::size_t> order(n);
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [in](std::size_t a, std::size_t b) { return beats(in[a], in[b], true); });
    for (std::size_t i = 0; i < k; ++i) {
      best.push_back(in[order[i]]);
      at.push_back(static_cast<double>(order[i]));
      dx[row * n + order[i]] = static_cast<double>(row * k + i + 1);
    }
    at_the_edge = at_the_edge || (k < n && ties(in[order[k - 1]], in[order[k]]));
  }
  Tape tape;
  const auto [y, index] = top_k(x, static_cast<std::int64_t>(k));
  RC_ASSERT(index.to_vector() == at);
  RC_ASSERT(same(y.to_vector(), best));
  RC_ASSERT(gradient(tape, x, y) == dx);
  shares.note("tied at the edge of the k", at_the_edge, 50);
  shares.note("longer than a warp", n > 32, 20);
}

FOLIO_PROPERTY_HERE(ChooseExpertsTakesTheFirstOfEqualsAndOfEqualGroups) {
  GateOptions o;
  o.n_group = coin() ? 1 : between(2, 40);
  const std::int64_t members = o.n_group > 4 ? between(1, 3) : length(), experts = o.n_group * members;
  o.topk_group = between(1, o.n_group);
  o.k = between(1, std::min<std::int64_t>(9, o.topk_group * members));
  o.group_score = coin() ? GroupScore::max : GroupScore::top2_sum;
  const Tensor logits = tied({between(1, 4), experts}, drawn_levels());
  const Gating gating = choose_experts(logits, zeros({experts}, logits.detach().options()), o);
  const Values scores = gating.scores.to_vector();
  const auto in_order = [](const Values& values) {
    std::vector<std::size_t> order(values.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return beats(values[a], values[b], true); });
    return order;
  };
  Values chosen;
  bool tied_groups = false;
  for (auto row = scores.begin(); row != scores.end(); row += experts) {
    Values value(row, row + experts), worth;
    for (auto group = value.begin(); group != value.end(); group += members) {
      const Values of_group(group, group + members);
      const auto order = in_order(of_group);
      const bool both = o.group_score == GroupScore::top2_sum && members > 1;
      worth.push_back(of_group[order[0]] + (both ? of_group[order[1]] : 0));
    }
    const auto groups = in_order(worth);
    const auto kept = static_cast<std::size_t>(o.topk_group);
    tied_groups = tied_groups || (kept < groups.size() && ties(worth[groups[kept - 1]], worth[groups[kept]]));
    for (std::size_t i = kept; i < groups.size(); ++i) {
      const auto first = value.begin() + static_cast<std::ptrdiff_t>(groups[i]) * members;
      std::fill(first, first + members, -infinity);
    }
    const auto order = in_order(value);
    for (std::int64_t r = 0; r < o.k; ++r) chosen.push_back(static_cast<double>(order[static_cast<std::size_t>(r)]));
  }
  RC_ASSERT(gating.chosen.to_vector() == chosen);
  shares.note("of groups tied at the edge", tied_groups, 15);
  shares.note("of more groups than a warp has lanes", o.n_group > 32, 5);
  shares.note("longer than a warp", experts > 32, 40);
}

FOLIO_PROPERTY_HERE(ClampAndReluPassTheGradientAsStatedAtTheirKinks) {
  const double low = *rc::gen::element(-1.5, 0.0, 2.0), high = low + *rc::gen::element(0.0, 0.25, 3.0);
  const Tensor x = tied({between(1, 3), length()}, {low, high, low - 1, (low + high) / 2, high + 1, 0, -0.0});
  const Values values = x.to_vector();
  for (const bool clamped : {true, false}) {
    Tensor leaf = x;
    leaf.zero_grad();
    Tape tape;
    const Tensor y = clamped ? clamp(x, low, high) : relu(x);
    Values dx;
    bool kink = false;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double v = values[i];
      dx.push_back((clamped ? low <= v && v <= high : v > 0) ? static_cast<double>(i + 1) : 0);
      kink = kink || (clamped ? v == low || v == high : v == 0);
    }
    RC_ASSERT(gradient(tape, x, y) == dx);
    shares.note(clamped ? "at a kink of clamp" : "at the kink of relu", kink, 50);
  }
}

FOLIO_PROPERTY_HERE(WhereTakesTheFirstForWhateverIsNotZero) {
  const Shape shape = {between(1, 3), length()};
  const auto n = static_cast<std::size_t>(numel(shape));
  const auto drawn = *rc::gen::container<std::vector<std::int32_t>>(n, rc::gen::element(-2, -1, 0, 0, 1, 1 << 30));
  const Tensor condition = from_indices(drawn, shape).to(place());
  Tensor a = tied(shape, {1, 2}), b = tied(shape, {3, 4}).detach().to(a.dtype()).requires_grad(true);
  const Values as = a.to_vector(), bs = b.to_vector();
  Values taken, da, db;
  for (std::size_t i = 0; i < n; ++i) {
    taken.push_back(drawn[i] != 0 ? as[i] : bs[i]);
    da.push_back(drawn[i] != 0 ? static_cast<double>(i + 1) : 0);
    db.push_back(drawn[i] == 0 ? static_cast<double>(i + 1) : 0);
  }
  Tape tape;
  const Tensor y = where(condition, a, b);
  RC_ASSERT(y.to_vector() == taken);
  RC_ASSERT(gradient(tape, a, y) == da);
  RC_ASSERT(b.grad().to_vector() == db);
  shares.note("true and not 1", std::any_of(drawn.begin(), drawn.end(), [](int c) { return c != 0 && c != 1; }), 50);
}

FOLIO_PROPERTY_HERE(RouteKeepsTheOrderOfTokensAndRanksWithinAnExpert) {
  const std::int64_t experts = between(1, 9), tokens = coin() ? between(0, 9) : between(200, 600), k = between(1, 3);
  const auto rows = static_cast<std::size_t>(tokens * k);
  const auto below = static_cast<std::int32_t>(experts);
  const auto chosen = *rc::gen::container<std::vector<std::int32_t>>(
      rows, rc::gen::resize(rc::kNominalSize, rc::gen::inRange<std::int32_t>(0, below)));
  std::vector<std::size_t> order(rows);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return chosen[a] < chosen[b]; });
  Values token_of_row, row_of(rows, 0);
  for (std::size_t row = 0; row < rows; ++row) {
    const std::size_t token = order[row] / static_cast<std::size_t>(k);
    token_of_row.push_back(static_cast<double>(token));
    row_of[order[row]] = static_cast<double>(row);
  }
  const Routing routing = route(from_indices(chosen, {tokens, k}).to(place()), experts);
  RC_ASSERT(routing.token_of_row.to_vector() == token_of_row);
  RC_ASSERT(routing.row_of.to_vector() == row_of);
  shares.note("of more tokens than experts", tokens > experts, 40);
}

}  // namespace folio::testing
