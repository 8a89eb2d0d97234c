// DeepSeek's gate, a warp per token. Forward reads a row of logits once (twice, the second time from the cache, where the
// bias goes into them), writes its scores and, for each choice, its expert and weight: 8 bytes per float32 logit, 6 per
// 16-bit one, and 8 per choice. Backward reads the scores, their gradient and what belongs to the choices, and writes the
// logits' gradient: 12 bytes per float32 logit, 10 per 16-bit one, and 8 per choice. Scores of biased logits cost 4 more in
// both. Those bytes are the floor. Neighbouring lanes take neighbouring experts, whose rows are short.
#include "cuda/select.hpp"

namespace folio::FOLIO_CUDA {
namespace {

constexpr std::size_t shared_limit = 48 * 1024;

/// Calls f(c) for the lane's share of the columns [0, n).
template <typename F>
__device__ void own_columns(std::int64_t n, const F& f) {
  for (std::int64_t c = lane_index(); c < n; c += warp_threads) f(c);
}

/// value ← its scores, over the warp's row; each lane touches its own columns.
template <typename A>
__device__ void score_row(Score score, std::int64_t n, A* value) {
  if (score == Score::softmax) {
    A largest = static_cast<A>(-INFINITY), total = 0;
    own_columns(n, [&](std::int64_t c) { largest = fmax(largest, value[c]); });
    largest = warp_max(largest);
    own_columns(n, [&](std::int64_t c) {
      value[c] = exp(value[c] - largest);
      total += value[c];
    });
    total = warp_sum(total);
    own_columns(n, [&](std::int64_t c) { value[c] /= total; });
  } else if (score == Score::sigmoid) {
    own_columns(n, [&](std::int64_t c) { value[c] = A{1} / (A{1} + exp(-value[c])); });
  } else {
    constexpr A least = static_cast<A>(least_sqrt_softplus);
    own_columns(n, [&](std::int64_t c) {
      const A root = sqrt(fmax(value[c], A{0}) + log1p(exp(-fabs(value[c]))));
      value[c] = root < least ? least : root;
    });
  }
}

/// Of value[0 … n), of which each lane looks at its own columns, the first that comes after `before`; on every lane.
template <typename A>
__device__ Candidate<A> next_best(const A* value, std::int64_t n, const Candidate<A>& before) {
  Candidate<A> best = {A{0}, -1};
  own_columns(n, [&](std::int64_t c) {
    const Candidate<A> here = {value[c], static_cast<std::int32_t>(c)};
    if ((before.index < 0 || precedes(before, here)) && precedes(here, best)) best = here;
  });
  return warp_first(best);
}

/// The sum of the two best of a group's values, or the best.
template <typename A>
__device__ A worth_of(const A* value, std::int64_t members, GroupScore by) {
  Candidate<A> first = {A{0}, -1}, second = first;
  for (std::int32_t i = 0; i < members; ++i) {
    const Candidate<A> here = {value[i], i};
    if (precedes(here, first)) {
      second = first;
      first = here;
    } else if (precedes(here, second)) {
      second = here;
    }
  }
  return by == GroupScore::max || second.index < 0 ? first.value : first.value + second.value;
}

/// Sets the values of groups that lose to −∞; worth has room for one number per group.
template <typename A>
__device__ void strike_losers(const GateOptions& o, std::int64_t n, A* value, A* worth) {
  const std::int64_t members = n / o.n_group;
  __syncwarp();
  own_columns(o.n_group, [&](std::int64_t g) { worth[g] = worth_of(value + g * members, members, o.group_score); });
  Candidate<A> last = {A{0}, -1};
  for (std::int64_t i = 0; i < o.topk_group; ++i) last = next_best(worth, o.n_group, last);
  own_columns(o.n_group, [&](std::int64_t g) {
    if (!precedes(last, Candidate<A>{worth[g], static_cast<std::int32_t>(g)})) return;
    for (std::int64_t i = 0; i < members; ++i) value[g * members + i] = static_cast<A>(-INFINITY);
  });
  __syncwarp();
}

/// What a warp keeps of its token, in numbers: scores and values (n), worths of groups, scores of the chosen (k).
__host__ __device__ inline std::int64_t numbers_of_token(const GateOptions& o, std::int64_t n) {
  return 2 * n + o.n_group + o.k;
}

/// `biased` is null where the bias is for the selection only.
template <typename T>
__global__ void __launch_bounds__(block_threads)
    choose_experts_kernel(const T* logits, const Accumulator<T>* bias, std::int64_t tokens, std::int64_t n,
                          GateOptions o, Accumulator<T>* scores, Accumulator<T>* biased, std::int32_t* chosen,
                          Accumulator<T>* weights) {
  using A = Accumulator<T>;
  DYN_SHARED(A, memory);
  const std::int64_t token = warp_index();
  if (token >= tokens) return;
  A* const score = memory + threadIdx.x / warp_threads * numbers_of_token(o, n);
  A *const value = score + n, *const worth = value + n, *const taken = worth + o.n_group;
  const T* const x = logits + token * n;

  own_columns(n, [&](std::int64_t c) { score[c] = wide(x[c]); });
  score_row(o.score, n, score);
  own_columns(n, [&](std::int64_t c) { scores[token * n + c] = score[c]; });
  if (biased != nullptr) {
    own_columns(n, [&](std::int64_t c) { score[c] = wide(x[c]) + bias[c]; });
    score_row(o.score, n, score);
    own_columns(n, [&](std::int64_t c) {
      value[c] = score[c];
      biased[token * n + c] = score[c];
    });
  } else {
    own_columns(n, [&](std::int64_t c) { value[c] = score[c] + bias[c]; });
  }
  if (o.n_group > 1) strike_losers(o, n, value, worth);

  Candidate<A> best = {A{0}, -1};
  A total = 0;
  for (std::int64_t r = 0; r < o.k; ++r) {
    best = next_best(value, n, best);
    const int owner = best.index % warp_threads;
    const A its = __shfl_sync(all_lanes, lane_index() == owner ? score[best.index] : A{0}, owner);
    total += its;
    if (lane_index() != r % warp_threads) continue;
    taken[r] = its;
    chosen[token * o.k + r] = best.index;
  }
  const A divisor = o.norm_topk_prob ? total + static_cast<A>(least_sum_of_scores) : A{1};
  const A factor = static_cast<A>(o.routed_scaling_factor);
  own_columns(o.k, [&](std::int64_t r) { weights[token * o.k + r] = taken[r] / divisor * factor; });
}

/// Jᵀ·g at one score s; along is Σ g·s over the row.
template <typename A>
__device__ A through(Score score, A s, A g, A along) {
  if (score == Score::sigmoid) return g * s * (A{1} - s);
  if (score == Score::softmax) return s * (g - along);
  return s <= static_cast<A>(least_sqrt_softplus) ? A{0} : g * -expm1(-s * s) / (A{2} * s);
}

template <typename T>
__global__ void __launch_bounds__(block_threads)
    choose_experts_backward_kernel(const Accumulator<T>* dscores, const Accumulator<T>* dweights,
                                   const Accumulator<T>* scores, const Accumulator<T>* biased,
                                   const std::int32_t* chosen, std::int64_t tokens, std::int64_t n, GateOptions o,
                                   T* dlogits) {
  using A = Accumulator<T>;
  const std::int64_t token = warp_index();
  if (token >= tokens) return;
  const A *const s = scores + token * n, *const v = biased == nullptr ? s : biased + token * n;
  const A *const ds = dscores + token * n, *const dw = dweights + token * o.k;
  const std::int32_t* const best = chosen + token * o.k;
  A total = 0, along_weights = 0;
  for (std::int64_t r = 0; r < o.k; ++r) {
    const A its = v[best[r]];
    total += its;
    along_weights += dw[r] * its;
  }
  const A divisor = o.norm_topk_prob ? total + static_cast<A>(least_sum_of_scores) : A{1};
  const A common = o.norm_topk_prob ? along_weights / divisor : A{0};
  const A factor = static_cast<A>(o.routed_scaling_factor);
  const auto of_choice = [&](std::int64_t r) { return (dw[r] - common) / divisor * factor; };

  A along_scores = 0, along_chosen = 0;
  if (o.score == Score::softmax) {
    own_columns(n, [&](std::int64_t c) { along_scores += ds[c] * s[c]; });
    along_scores = warp_sum(along_scores);
    for (std::int64_t r = 0; r < o.k; ++r) along_chosen += of_choice(r) * v[best[r]];
  }
  own_columns(n, [&](std::int64_t c) {
    A dv = 0;
    for (std::int64_t r = 0; r < o.k; ++r) dv += best[r] == c ? of_choice(r) : A{0};
    const A dx = biased == nullptr
                     ? through(o.score, s[c], ds[c] + dv, along_scores + along_chosen)
                     : through(o.score, s[c], ds[c], along_scores) + through(o.score, v[c], dv, along_chosen);
    dlogits[token * n + c] = narrow<T>(dx);
  });
}

}  // namespace

void entry::choose_experts(const Tensor& logits, const Tensor& bias, const GateOptions& o, Tensor& scores,
                           Tensor& biased, Tensor& chosen, Tensor& weights) {
  visit_stored(logits.dtype(), [&](auto tag) {
    using T = decltype(tag);
    using A = Accumulator<T>;
    const std::int64_t tokens = logits.dim(0), n = logits.dim(1);
    const std::size_t bytes = static_cast<std::size_t>(numbers_of_token(o, n)) * sizeof(A);
    require(bytes <= shared_limit, [&] {
      return "choose_experts on a GPU: " + std::to_string(n) + " experts do not fit into its shared memory of " +
             std::to_string(shared_limit) + " bytes: use fewer";
    });
    const std::int64_t warps = std::min<std::int64_t>(threads_for_rows(tokens) / warp_threads,
                                                      static_cast<std::int64_t>(shared_limit / bytes));
    launch(choose_experts_kernel<T>, blocks_for(tokens, warps), static_cast<int>(warps) * warp_threads,
           static_cast<std::size_t>(warps) * bytes, stream(), logits.ptr<T>(), bias.ptr<A>(), tokens, n, o,
           scores.ptr<A>(), pointer<A>(biased), chosen.ptr<std::int32_t>(), weights.ptr<A>());
  });
}

void entry::choose_experts_backward(const Tensor& dscores, const Tensor& dweights, const Tensor& scores,
                                    const Tensor& biased, const Tensor& chosen, const GateOptions& o, Tensor& dlogits) {
  visit_stored(dlogits.dtype(), [&](auto tag) {
    using T = decltype(tag);
    using A = Accumulator<T>;
    const std::int64_t tokens = scores.dim(0), n = scores.dim(1);
    launch(choose_experts_backward_kernel<T>, blocks_for_rows(tokens), threads_for_rows(tokens), 0, stream(),
           dscores.ptr<A>(), dweights.ptr<A>(), scores.ptr<A>(), pointer<A>(biased), chosen.ptr<std::int32_t>(), tokens,
           n, o, dlogits.ptr<T>());
  });
}

}  // namespace folio::FOLIO_CUDA
