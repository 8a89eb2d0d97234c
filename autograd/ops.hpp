#pragma once
// Every differentiable op of the library, declared with its formula. Shapes are written as tuples; "…" stands for any
// leading dimensions. All ops take any layout, every float type and zero-size dimensions, and name themselves and the
// shapes in their errors. Inputs are of one dtype, but a weight may be float32 beside activations of 16 bits: a product
// rounds it, and its gradient comes out in float32.
#include <cstdint>
#include <optional>
#include <utility>

#include "autograd/kernel_types.hpp"
#include "autograd/random.hpp"
#include "autograd/tensor.hpp"

namespace folio {

// ── Arithmetic, with NumPy broadcasting ──────────────────────────────────────────────────────────────────────────────
Tensor add(const Tensor& a, const Tensor& b);                    ///< a + b
Tensor subtract(const Tensor& a, const Tensor& b);               ///< a − b
Tensor multiply(const Tensor& a, const Tensor& b);               ///< a · b
Tensor divide(const Tensor& a, const Tensor& b);                 ///< a / b
Tensor scale(const Tensor& x, double factor, double shift = 0);  ///< factor · x + shift
Tensor negate(const Tensor& x);                                  ///< −x
Tensor power(const Tensor& x, double exponent);                  ///< x^p; x > 0 unless p is a whole number

inline Tensor operator+(const Tensor& a, const Tensor& b) { return add(a, b); }
inline Tensor operator-(const Tensor& a, const Tensor& b) { return subtract(a, b); }
inline Tensor operator*(const Tensor& a, const Tensor& b) { return multiply(a, b); }
inline Tensor operator/(const Tensor& a, const Tensor& b) { return divide(a, b); }
inline Tensor operator-(const Tensor& x) { return negate(x); }
inline Tensor operator+(const Tensor& x, double s) { return scale(x, 1, s); }
inline Tensor operator+(double s, const Tensor& x) { return scale(x, 1, s); }
inline Tensor operator-(const Tensor& x, double s) { return scale(x, 1, -s); }
inline Tensor operator-(double s, const Tensor& x) { return scale(x, -1, s); }
inline Tensor operator*(const Tensor& x, double s) { return scale(x, s); }
inline Tensor operator*(double s, const Tensor& x) { return scale(x, s); }
inline Tensor operator/(const Tensor& x, double s) { return scale(x, 1 / s); }
inline Tensor operator/(double s, const Tensor& x) { return scale(power(x, -1), s); }

// ── Element by element ───────────────────────────────────────────────────────────────────────────────────────────────
Tensor exp(const Tensor& x);
Tensor log(const Tensor& x);
Tensor sqrt(const Tensor& x);
Tensor rsqrt(const Tensor& x);  ///< 1/√x
Tensor tanh(const Tensor& x);
Tensor sigmoid(const Tensor& x);  ///< 1/(1 + e^−x)
Tensor relu(const Tensor& x);
Tensor gelu(const Tensor& x);      ///< x·Φ(x), exact (erf); Hendrycks and Gimpel 2016
Tensor silu(const Tensor& x);      ///< x·σ(x)
Tensor softplus(const Tensor& x);  ///< log(1 + e^x)
Tensor clamp(const Tensor& x, double low, double high);
/// condition ? a : b, all three broadcast; `condition` is an index tensor, true where it is not 0.
Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b);
/// Values converted to another dtype; the gradient is converted back. From float to index: truncated, no gradient, and a
/// value that the index dtype lacks, NaN or out of its range, is an Error with its position; on a GPU, like an index that
/// points nowhere, with the next copy to the host.
Tensor cast(const Tensor& x, DType dtype);
Tensor to_device(const Tensor& x, Device device);
/// Zeroes each element with probability p and scales the others by 1/(1 − p). The mask is a pure function of `stream`.
Tensor dropout(const Tensor& x, double p, RandomStream stream);

// ── Reductions: over `dims` (all if empty), which stay as extents of 1 if `keep` ──────────────────────────────────────
Tensor sum(const Tensor& x, const Dims& dims = {}, bool keep = false);
Tensor mean(const Tensor& x, const Dims& dims = {}, bool keep = false);
/// Largest or smallest along one dimension, with the index where it is; ties go to the lowest index.
std::pair<Tensor, Tensor> max(const Tensor& x, int dim, bool keep = false);
std::pair<Tensor, Tensor> min(const Tensor& x, int dim, bool keep = false);
/// Largest or smallest over `dims`, values alone. The gradient goes to the first of equals, in the order of `x`'s elements.
Tensor amax(const Tensor& x, const Dims& dims = {}, bool keep = false);
Tensor amin(const Tensor& x, const Dims& dims = {}, bool keep = false);
/// The k largest along the last dimension: values (with gradient) and int32 indices, largest first, ties toward the
/// lowest index. (…, n) → two of (…, k).
std::pair<Tensor, Tensor> top_k(const Tensor& x, std::int64_t k);

// ── Matrix products ──────────────────────────────────────────────────────────────────────────────────────────────────
/// (…, m, k) · (…, k, n) → (…, m, n), leading dimensions broadcast; transposed views are read in place.
Tensor matmul(const Tensor& a, const Tensor& b);
/// x·Wᵀ: (…, in) and weight (out, in) → (…, out).
Tensor linear(const Tensor& x, const Tensor& weight);
/// Rows grouped by expert times that expert's matrix: x (rows, in), weight (experts, out, in), offsets (experts + 1)
/// int32, rows offsets[e] … offsets[e+1] belong to expert e → (rows, out). No padding; experts without rows get zero
/// gradient.
Tensor expert_matmul(const Tensor& x, const Tensor& weight, const Tensor& offsets);

// ── Mixture of experts: rows gathered by expert ───────────────────────────────────────────────────────────────────────
/// Which experts each token goes to, and with what weight.
struct Gating {
  Tensor scores;   ///< (tokens, experts): without the bias
  Tensor chosen;   ///< (tokens, k) int32, best first
  Tensor weights;  ///< (tokens, k): factors of the chosen experts' outputs
};
/// DeepSeek's gate from logits (tokens, experts) on, with a bias (experts), which counts as a constant. Scores, weights and
/// bias are of the logits' dtype, or float32 where that is of 16 bits.
///   selection_bias (V3): s = score(logits); choose the top k of s + b; weights from s, which has no bias.
///   biased_logits (deepseek-shakespeare): s' = score(logits + b); choose the top k of s'; weights from s', so b leaks into them.
/// Ties go to the lowest index. With groups, only experts of the topk_group best groups take part; the others count as
/// −∞, so that a negative score is never beaten by a masked one (V3, arXiv 2412.19437, section 2.1.2, and its
/// inference/model.py; V2 scores a group by its maximum). The weights are divided by their sum + 1e-20 if norm_topk_prob,
/// and multiplied by routed_scaling_factor. Gradients: to the logits, from scores and weights.
Gating choose_experts(const Tensor& logits, const Tensor& bias, const GateOptions& options);

/// Where each token's chosen experts' rows lie once rows are sorted by expert (stable: by expert, then token, then rank).
/// row_of must name each row once, as route() sees to. The CPU checks that; a GPU reports rows that do not exist, but
/// where one is named twice, and so another never, the results hold whatever comes of it.
struct Routing {
  Tensor offsets;       ///< (experts + 1) int32: rows of expert e are offsets[e] … offsets[e+1]
  Tensor token_of_row;  ///< (tokens·k) int32
  Tensor row_of;        ///< (tokens, k) int32: the row of a token's r-th choice
};
/// Counts, prefix sums and the permutation for chosen experts: chosen (tokens, k) int32 in [0, experts). No gradient.
Routing route(const Tensor& chosen, std::int64_t experts);
/// y[row] = x[token_of_row[row]]: x (tokens, d) → (tokens·k, d).
Tensor dispatch_rows(const Tensor& x, const Routing& routing);
/// y[t] = Σ_r weights[t, r]·rows[row_of[t, r]]: rows (tokens·k, d), weights (tokens, k) → (tokens, d).
Tensor combine_rows(const Tensor& rows, const Tensor& weights, const Routing& routing);

// ── Shape: views where the layout allows, without copies ─────────────────────────────────────────────────────────────
Tensor reshape(const Tensor& x, Shape shape);  ///< one extent may be −1; copies only where strides force it
Tensor transpose(const Tensor& x, int a, int b);
Tensor permute(const Tensor& x, const Dims& order);
Tensor slice(const Tensor& x, int dim, std::int64_t begin, std::int64_t end);
/// Pieces of the given extents along `dim`: one entry on the tape, whose backward is one concat.
Tensors split(const Tensor& x, const Dims& extents, int dim);
Tensor expand(const Tensor& x, const Shape& shape);
Tensor contiguous(const Tensor& x);
Tensor concat(const Tensors& xs, int dim);

// ── Indexing ─────────────────────────────────────────────────────────────────────────────────────────────────────────
/// y[…, i, …] = x[…, index[…, i, …], …] along `dim`; index has x's rank and, elsewhere, extents no larger than x's.
Tensor gather(const Tensor& x, int dim, const Tensor& index);
/// x with the sum of the source[i], in order of i, added to row index[i] (dimension 0): x (n, …), index (m), source (m, …).
Tensor index_add(const Tensor& x, const Tensor& index, const Tensor& source);
/// Rows of a table: table (n, d…), index (…) → (…, d…). An index outside [0, n) is an Error.
Tensor embedding(const Tensor& table, const Tensor& index);

// ── Normalised and fused ─────────────────────────────────────────────────────────────────────────────────────────────
Tensor softmax(const Tensor& x, int dim = -1);
Tensor log_softmax(const Tensor& x, int dim = -1);

struct CrossEntropyOptions {
  std::int64_t ignored = -100;  ///< targets with this value count neither in the loss nor in the mean
  double label_smoothing = 0;   ///< ε: the target distribution is (1 − ε)·one-hot + ε/classes
};
/// Mean of −log softmax(logits)[target] in nats: logits (…, classes), targets (…) index → (). All ignored: 0.
Tensor cross_entropy(const Tensor& logits, const Tensor& targets, CrossEntropyOptions options = {});

/// x/√(mean(x²) + eps)·weight over the last dimension; Zhang and Sennrich 2019. x (…, d), weight (d).
Tensor rms_norm(const Tensor& x, const Tensor& weight, double eps = 1e-6);

struct RopeOptions {
  RopePairs pairs = RopePairs::interleaved;
  double base = 10000;
  std::int64_t offset = 0;  ///< position of the first row
  std::int64_t skip = 0;    ///< leading channels of each head that are left as they are (the nope part)
};
/// Rotates pair i of the last R channels at position t by t·base^(−2i/R); Su et al. 2021. x (B, T, H, skip + R), R even.
/// Positions run along dimension 1.
Tensor rope(const Tensor& x, RopeOptions options = {});

/// silu(gate)·up; Shazeer 2020. Both (…, d).
Tensor swiglu(const Tensor& gate, const Tensor& up);

/// softmax(scale·q·kᵀ, masked to s ≤ t + offset)·v per head; scores are not stored. oneDNN in bfloat16: softmax is rounded.
/// q (B, T, H, K + R), k (B, S, H, K), v (B, S, H, V), shared_key (B, S, R) common to all heads, or undefined with R = 0;
/// S = offset + T → (B, T, H, V). Keys and values may be views, such as latents that expand gives to all heads.
/// A query that is not finite, or that sees a key or value that is not, has no answer: NaN. A score of finite factors
/// that overflows to −∞ weighs 0 beside finite ones; +∞, or −∞ alone, leaves NaN. So does, on a GPU, a weighted sum of
/// values that overflows; on the CPU that channel alone is infinite.
Tensor causal_attention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& shared_key, double scale,
                        std::int64_t offset = 0);

}  // namespace folio
