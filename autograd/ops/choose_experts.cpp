// s = score(logits), v = s or score(logits + b); the k best of s + b, or of v; w = v/(Σ v + 1e-20)·factor of the chosen
// dv = (dw − Σ dw·v/(Σ v + 1e-20))·factor/(Σ v + 1e-20), dlogits = Jᵀ(ds + dv), J of s or, for dv, of v:
//   sigmoid s(1 − s), softmax diag s − s·sᵀ, √softplus (1 − e^−s²)/2s
#include <algorithm>
#include <limits>
#include <vector>

#include "autograd/cpu/lanes.hpp"
#include "autograd/cpu/select.hpp"
#include "autograd/ops/op.hpp"

namespace folio {
namespace {

/// x ← its scores, `rows` rows one after another. By whole vectors, so that equal logits score alike wherever they stand.
template <class T>
void score_rows(Score score, T* x, std::int64_t rows, std::int64_t width) {
  if (score == Score::softmax) {
    for (std::int64_t row = 0; row < rows; ++row) cpu::softmax_row(x + row * width, width, x + row * width);
    return;
  }
  constexpr T least = static_cast<T>(least_sqrt_softplus);
  cpu::for_lanes(x, rows * width, T{0}, [&](cpu::Lanes<T> block, std::int64_t first) {
    if (score == Score::sigmoid) {
      block = 1 / (1 + (-block).exp());
    } else {
      block = (block.max(T{0}) + (-block.abs()).exp().log1p()).sqrt();
      block = (block < least).select(least, block);
    }
    std::copy_n(block.data(), std::min<std::int64_t>(block.size(), rows * width - first), x + first);
  });
}

/// Sets the values of groups that lose to −∞. `order` has room for as many indices as there are values.
template <class T>
void strike_losers(const GateOptions& o, std::vector<T>& value, std::int32_t* order) {
  const std::int64_t members = std::ssize(value) / o.n_group;
  const std::int64_t counted = o.group_score == GroupScore::max ? 1 : std::min<std::int64_t>(2, members);
  std::vector<T> worth;
  for (const T* group = value.data(); group < value.data() + value.size(); group += members) {
    cpu::best_of(group, members, counted, order);
    worth.push_back(counted == 1 ? group[order[0]] : group[order[0]] + group[order[1]]);
  }
  cpu::best_of(worth.data(), o.n_group, o.n_group, order);
  for (std::int64_t i = o.topk_group; i < o.n_group; ++i)
    std::fill_n(value.begin() + order[i] * members, members, -std::numeric_limits<T>::infinity());
}

/// dx += Jᵀ·g for the scores s of one row.
template <class T>
void add_slopes(Score score, cpu::Row<T> s, cpu::Row<T> g, cpu::MutableRow<T> dx) {
  switch (score) {
    case Score::sigmoid: dx += g * s * (1 - s); return;
    case Score::softmax: dx += s * (g - (g * s).sum()); return;
    case Score::sqrt_softplus:
      dx += (s <= static_cast<T>(least_sqrt_softplus)).select(T{0}, g * -(-s.square()).expm1() / (2 * s));
  }
}

/// Experts take a few operations each.
std::int64_t tokens_per_task(std::int64_t experts) { return 1 + cpu::detail::task / (8 * experts); }

}  // namespace

/// `biased`, score(logits + bias), is defined for Gate::biased_logits alone.
void cpu::choose_experts(const Tensor& logits, const Tensor& bias, const GateOptions& o, Tensor& scores, Tensor& biased,
                         Tensor& chosen, Tensor& weights) {
  const std::int64_t n = logits.dim(1), k = o.k;
  visit_float(logits.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const Row<T> b(bias.ptr<T>(), n);
    parallel_ranges(logits.dim(0), tokens_per_task(n), [&](std::int64_t begin, std::int64_t end) {
      std::copy(logits.ptr<T>() + begin * n, logits.ptr<T>() + end * n, scores.ptr<T>() + begin * n);
      score_rows(o.score, scores.ptr<T>() + begin * n, end - begin, n);
      if (biased.defined()) {
        for (std::int64_t t = begin; t < end; ++t)
          MutableRow<T>(biased.ptr<T>() + t * n, n) = Row<T>(logits.ptr<T>() + t * n, n) + b;
        score_rows(o.score, biased.ptr<T>() + begin * n, end - begin, n);
      }
      std::vector<T> value(static_cast<std::size_t>(n));
      std::vector<std::int32_t> order(value.size());
      for (std::int64_t t = begin; t < end; ++t) {
        const Row<T> v((biased.defined() ? biased : scores).ptr<T>() + t * n, n);
        MutableRow<T> all(value.data(), n);
        all = v;
        if (!biased.defined()) all += b;
        if (o.n_group > 1) strike_losers(o, value, order.data());
        best_of(value.data(), n, k, order.data());
        std::copy_n(order.data(), k, chosen.ptr<std::int32_t>() + t * k);
        MutableRow<T> w(weights.ptr<T>() + t * k, k);
        for (std::int64_t r = 0; r < k; ++r) w[r] = v[order[static_cast<std::size_t>(r)]];
        if (o.norm_topk_prob) w /= w.sum() + static_cast<T>(least_sum_of_scores);
        w *= static_cast<T>(o.routed_scaling_factor);
      }
    });
  });
}

void cpu::choose_experts_backward(const Tensor& dscores, const Tensor& dweights, const Tensor& scores,
                                  const Tensor& biased, const Tensor& chosen, const GateOptions& o, Tensor& dlogits) {
  const std::int64_t n = scores.dim(1), k = o.k;
  visit_float(scores.dtype(), [&](auto tag) {
    using T = decltype(tag);
    parallel_ranges(scores.dim(0), tokens_per_task(n), [&](std::int64_t begin, std::int64_t end) {
      std::vector<T> of_chosen(static_cast<std::size_t>(n));
      MutableRow<T> dv(of_chosen.data(), n);
      for (std::int64_t t = begin; t < end; ++t) {
        const auto row = [t, n](const Tensor& x) { return Row<T>(x.ptr<T>() + t * n, n); };
        const Row<T> s = row(scores), v = biased.defined() ? row(biased) : s, dw(dweights.ptr<T>() + t * k, k);
        const auto* best = chosen.ptr<std::int32_t>() + t * k;
        T total = 0, along = 0;
        for (std::int64_t r = 0; r < k; ++r) total += v[best[r]], along += dw[r] * v[best[r]];
        const T divisor = o.norm_topk_prob ? total + static_cast<T>(least_sum_of_scores) : T{1};
        const T common = o.norm_topk_prob ? along / divisor : T{0};
        dv.setZero();
        for (std::int64_t r = 0; r < k; ++r)
          dv[best[r]] += (dw[r] - common) / divisor * static_cast<T>(o.routed_scaling_factor);
        MutableRow<T> dx(dlogits.ptr<T>() + t * n, n);
        dx.setZero();
        if (biased.defined()) {
          add_slopes<T>(o.score, s, row(dscores), dx);
        } else {
          dv += row(dscores);
        }
        add_slopes<T>(o.score, v, Row<T>(dv.data(), n), dx);
      }
    });
  });
}

Gating choose_experts(const Tensor& logits, const Tensor& bias, const GateOptions& options) {
  require_float(logits, "choose_experts");
  const Options wide = statistics_options(logits);
  require(logits.rank() == 2 && logits.dim(1) > 0 && bias.defined() && bias.shape() == Shape({logits.dim(1)}) &&
              bias.dtype() == wide.dtype,
          [&] {
            return "choose_experts: logits " + describe(logits) + " and a bias " + describe(bias) +
                   " do not fit: needs (tokens, experts) and " + name_of(wide.dtype) + " (experts)";
          });
  const std::int64_t n = logits.dim(1), groups = options.n_group, kept = options.topk_group;
  require(
      groups > 0 && n % groups == 0 && 0 < kept && kept <= groups && 0 < options.k && options.k <= kept * (n / groups),
      [&] {
        return "choose_experts: cannot choose " + std::to_string(options.k) + " of " + std::to_string(n) +
               " experts from the best " + std::to_string(kept) + " of " + std::to_string(groups) +
               " groups: groups must be equal, and the best ones hold as many experts as are chosen";
      });
  const Shape by_rank = {logits.dim(0), options.k};
  Tensor scores = empty(logits.shape(), wide), weights = empty(by_rank, wide);
  Tensor biased = options.gate == Gate::biased_logits ? empty(logits.shape(), wide) : Tensor();
  Tensor chosen = empty(by_rank, {DType::int32, logits.device()});
  kernel::choose_experts(logits, bias, options, scores, biased, chosen, weights);
  const Tensors outputs =
      record_all({.op = op::choose_experts,
                  .inputs = {logits},
                  .outputs = {scores, weights},
                  .saved = {scores, biased, chosen},
                  .parameters = options,
                  .backward = [](const Entry& e, const Tensors& dy) -> Tensors {
                    Tensor dlogits = empty(e.input_shape(0), e.inputs[0]->options);
                    kernel::choose_experts_backward(dy[0], dy[1], e.saved(0), e.saved(1), e.saved(2),
                                                    e.parameter<GateOptions>(), dlogits);
                    return {dlogits};
                  }});
  return {outputs[0], chosen, outputs[1]};
}

}  // namespace folio
