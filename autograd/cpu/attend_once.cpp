// y = Σ_s p_s·v_s, p = softmax of scale·q·key_s, key = [k | shared], for one query per sequence.
#include <array>
#include <limits>
#include <type_traits>

#include "autograd/cpu/attention.hpp"
#include "autograd/cpu/parallel.hpp"

namespace folio::cpu::attention {
namespace {

constexpr std::int64_t most_heads_together = 8;

/// Into equal groups of how many to divide heads with values in common, which are `work` multiplications: large ones, since
/// a group reads the values once, but no group of more than half as many where another thread would pay. Values that
/// products read as bfloat16s (F) take a quarter of the time.
template <class F>
std::int64_t heads_together(std::int64_t heads, std::int64_t work) {
  constexpr std::int64_t alone = (std::is_same_v<F, bfloat16> ? 4 : 1) * worth_threads;
  std::int64_t most = work < alone ? most_heads_together : most_heads_together / 2;
  while (heads % most != 0) --most;
  return most;
}

/// Heads with values in common, as MLA's have its latents, are rows of one product, and so they are for a part of the keys
/// that they have in common. Keys of 16-bit floats (E) are multiplied as they are, values as other products read them (F).
/// Nothing is masked: only where a score or an answer is not finite are the factors looked at.
template <class E, class F>
void attend(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& shared, double scale, const Tensor& y,
            const Tensor& log_sum) {
  using T = ComputeType<E>;
  const std::int64_t heads = q.dim(2), keys = k.dim(1), own = k.dim(3), rope = q.dim(3) - own, out = v.dim(3);
  const std::int64_t work = heads * keys * (q.dim(3) + out);  // of one sequence
  const std::int64_t rows = v.strides()[2] == 0 ? heads_together<F>(heads, work) : 1;
  const std::int64_t rows_of_key = k.strides()[2] == 0 ? rows : 1;
  const auto attend_to = [&](std::int64_t task) {
    const std::int64_t b = task * rows / heads, h = task * rows % heads;
    const auto in_place = [&](const Tensor& x, std::int64_t row) -> Matrix<const E> {
      return {x.ptr<E>() + begin_of(x, b, h + row), x.strides()[1], 1};
    };
    const Matrix<const E> query = {in_place(q, 0).data, q.strides()[2], 1};
    const Matrix<const E> shared_key =
        shared.defined() ? Matrix<const E>{shared.ptr<E>() + b * shared.strides()[0], shared.strides()[1], 1}
                         : Matrix<const E>{};
    const Scores<F> scores(rows, padded(keys));
    for (std::int64_t i = 0; i < rows; i += rows_of_key) {
      multiply<E, T>({rows_of_key, keys, own, query.at(i, 0), in_place(k, i).transposed(), scores.rows().at(i, 0)});
    }
    if (rope > 0) {
      multiply<E, T>({rows, keys, rope, query.at(0, own), shared_key.transposed(), scores.rows(), true});
    }
    std::array<Softmax<T>, most_heads_together> softmax;
    bool finite = true;
    for (std::int64_t i = 0; i < rows; ++i) {
      finite = finite && is_finite(scores.row(i), keys);
      softmax[static_cast<std::size_t>(i)] = exponentiate(scores.row(i), keys, scale);
      scores.finish(i, keys, keys);
    }
    Tensor kept_v;
    const Tensor kept = empty({rows, out}, {dtype_of<T>()});
    const Matrix<T> answers = {kept.ptr<T>(), out, 1};
    multiply<F, T>({rows, out, keys, scores.factor(), head_of<F>(v, b, h, kept_v), answers});
    finite = finite && is_finite<T>({answers.data, out, 1}, rows, out);
    for (std::int64_t i = 0; i < rows; ++i) {
      Softmax<T>& each = softmax[static_cast<std::size_t>(i)];
      const bool answered =
          finite || (is_finite(query.at(i, 0), 1, own + rope) && is_finite(in_place(k, i), keys, own) &&
                     is_finite(shared_key, keys, rope) && is_finite(in_place(v, i), keys, out));
      if (!answered) each.sum = each.log_sum = std::numeric_limits<T>::quiet_NaN();
      MutableRow<T>(answers.at(i, 0).data, out) *= 1 / each.sum;
      log_sum.ptr<T>()[task * rows + i] = each.log_sum;
    }
    write_rows<T>(answers, rows, out, y, begin_of(y, b, h), y.strides()[2]);
  };
  const std::int64_t tasks = q.dim(0) * heads / rows;
  if (q.dim(0) * work >= worth_threads) return parallel_for(tasks, attend_to);
  for (std::int64_t task = 0; task < tasks; ++task) attend_to(task);
}

}  // namespace

void attend_once(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& shared_key, double scale,
                 const Tensor& y, const Tensor& log_sum) {
  visit_factors(q.dtype(), [&](auto factor) {
    visit_any_float(q.dtype(), [&](auto stored) {
      using E = decltype(stored);
      using F = decltype(factor);
      if constexpr (std::is_same_v<F, E> || std::is_same_v<F, ComputeType<E>>) {
        attend<E, F>(q, k, v, shared_key, scale, y, log_sum);
      }
    });
  });
}

}  // namespace folio::cpu::attention
