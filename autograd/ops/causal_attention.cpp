// y_t = Σ_s p_ts·v_s,  p_t = softmax over s ≤ t + offset of scale·q_t·key_s,  key = [k | shared]
// dv_s = Σ_t p_ts·dy_t,  ds_ts = p_ts·(dy_t·v_s − dy_t·y_t)·scale,  dq_t = Σ_s ds_ts·key_s,  dkey_s = Σ_t ds_ts·q_t
// Scores live for one block of queries at a time; backward makes p again from log Σ exp (Dao et al. 2022). Where bfloat16s
// are multiplied as they are, products read p, or in forward its numerator, and ds rounded to bfloat16; sums are not rounded.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>

#include "autograd/cpu/attention.hpp"
#include "autograd/cpu/widened.hpp"
#include "autograd/fault.hpp"
#include "autograd/ops/op.hpp"

namespace folio {
namespace {

using cpu::Matrix;
using cpu::MutableRow;
using cpu::Row;
using cpu::attention::begin_of;
using cpu::attention::copy_rows;
using cpu::attention::exponentiate;
using cpu::attention::head_of;
using cpu::attention::is_finite;
using cpu::attention::padded;
using cpu::attention::prefetch;
using cpu::attention::Scores;
using cpu::attention::Softmax;
using cpu::attention::visit_factors;
using cpu::attention::write_rows;

constexpr std::int64_t query_block = 64;

/// One head of one sequence of a result y (B, T, H, width), as T: in place, or in a buffer that give() rounds to 16 bits.
template <class T>
class HeadOfResult {
 public:
  HeadOfResult(const Tensor& y, std::int64_t b, std::int64_t h) : y_(y) {
    if (!y.defined()) return;
    begin_ = begin_of(y, b, h);
    if (y.dtype() == dtype_of<T>()) {
      rows = {y.ptr<T>() + begin_, y.strides()[1], 1};
    } else {
      buffer_ = empty({y.dim(1), y.dim(3)}, {dtype_of<T>()});
      rows = {buffer_.ptr<T>(), y.dim(3), 1};
    }
  }
  void give() const {
    if (buffer_.defined()) write_rows(rows, y_.dim(1), y_.dim(3), y_, begin_, y_.strides()[1]);
  }

  Matrix<T> rows = {};

 private:
  const Tensor& y_;
  std::int64_t begin_ = 0;
  Tensor buffer_;
};

/// x with 0 in place of what is not finite, so that a masked probability of 0 times it is 0.
template <class T>
Matrix<const T> cleaned(Matrix<const T> x, std::int64_t rows, std::int64_t width, Tensor& keeper) {
  keeper = empty({rows, width}, {dtype_of<T>()});
  T* to = keeper.ptr<T>();
  for (std::int64_t i = 0; i < rows * width; ++i) {
    const T value = x.data[i / width * x.row_stride + i % width];
    to[i] = std::isfinite(static_cast<ComputeType<T>>(value)) ? value : T{};
  }
  return {to, width, 1};
}

/// Σ_i a[i]·b[i] of two rows.
template <class T>
ComputeType<T> dot(const T* a, const T* b, std::int64_t width) {
  if constexpr (is_half_type<T>) {
    constexpr std::int64_t chunk = 64;
    alignas(64) std::array<float, chunk> wide_a, wide_b;
    float sum = 0;
    for (std::int64_t first = 0; first < width; first += chunk) {
      const std::int64_t length = std::min(chunk, width - first);
      cpu::detail::pack_run(a + first, 1, length, wide_a.data());
      cpu::detail::pack_run(b + first, 1, length, wide_b.data());
      sum += (Row<float>(wide_a.data(), length) * Row<float>(wide_b.data(), length)).sum();
    }
    return sum;
  } else {
    return (Row<T>(a, width) * Row<T>(b, width)).sum();
  }
}

/// One head of one sequence: q (T, K + R), key (S, K + R) = [k | shared], v (S, V).
template <class T>
struct Head {
  Matrix<const T> q, key, v;
  Tensor kept_q, kept_key, kept_v;
};

template <class T>
Head<T> head(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& shared, std::int64_t b, std::int64_t h) {
  Head<T> one;
  one.q = head_of<T>(q, b, h, one.kept_q);
  one.v = head_of<T>(v, b, h, one.kept_v);
  if (!shared.defined()) {
    one.key = head_of<T>(k, b, h, one.kept_key);
    return one;
  }
  const std::int64_t keys = k.dim(1), own = k.dim(3), width = q.dim(3);
  one.kept_key = empty({keys, width}, {dtype_of<T>()});
  const Matrix<T> packed = {one.kept_key.template ptr<T>(), width, 1};
  copy_rows(k, begin_of(k, b, h), k.strides()[1], keys, own, packed);
  copy_rows(shared, b * shared.strides()[0], shared.strides()[1], keys, width - own, packed.at(0, own));
  one.key = {packed.data, width, 1};
  return one;
}

/// Blocks of queries from the last to the first: the last sees every key.
template <class F>
void for_query_blocks(std::int64_t queries, std::int64_t keys, F&& f) {
  for (std::int64_t block = (queries - 1) / query_block; block >= 0; --block) {
    const std::int64_t first = block * query_block, last = std::min(queries, first + query_block);
    f(first, last - first, keys - (queries - last));
  }
}

/// How many of the `visible` keys of a block the query t sees.
std::int64_t seen_by(std::int64_t t, std::int64_t offset, std::int64_t visible) {
  return std::clamp<std::int64_t>(t + offset + 1, 0, visible);
}

}  // namespace

void cpu::causal_attention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& shared_key, double scale,
                           std::int64_t offset, Tensor& y, Tensor& log_sum) {
  if (q.dim(1) == 1) return attention::attend_once(q, k, v, shared_key, scale, y, log_sum);
  visit_factors(q.dtype(), [&](auto tag) {
    using E = decltype(tag);
    using T = ComputeType<E>;
    const std::int64_t queries = q.dim(1), heads = q.dim(2), keys = k.dim(1), width = q.dim(3), out = v.dim(3);
    if (queries == 0) return;
    parallel_for(q.dim(0) * heads, [&](std::int64_t task) {
      const std::int64_t b = task / heads, h = task % heads;
      Head<E> one = head<E>(q, k, v, shared_key, b, h);
      Tensor clean[3];
      const Head<E> given = one;
      const bool finite =
          is_finite(one.q, queries, width) && is_finite(one.key, keys, width) && is_finite(one.v, keys, out);
      if (!finite) {
        one.q = cleaned(one.q, queries, width, clean[0]);
        one.key = cleaned(one.key, keys, width, clean[1]);
        one.v = cleaned(one.v, keys, out, clean[2]);
      }
      const Scores<E> scores(query_block, padded(keys));
      const HeadOfResult<T> result(y, b, h);
      T* log_sums = log_sum.ptr<T>() + task * queries;
      for_query_blocks(queries, keys, [&](std::int64_t first, std::int64_t rows, std::int64_t visible) {
        multiply<E, T>({rows, visible, width, one.q.at(first, 0), one.key.transposed(), scores.rows()});
        std::array<T, query_block> inverse_sum;
        for (std::int64_t i = 0; i < rows; ++i) {
          const std::int64_t seen = seen_by(first + i, offset, visible);
          const Softmax<T> softmax = exponentiate(scores.row(i), seen, scale);
          scores.finish(i, seen, visible);
          inverse_sum[static_cast<std::size_t>(i)] = 1 / softmax.sum;
          log_sums[first + i] = softmax.log_sum;
        }
        const Matrix<T> y_block = result.rows.at(first, 0);
        multiply<E, T>({rows, out, visible, scores.factor(), one.v, y_block});
        for (std::int64_t i = 0; i < rows; ++i) {
          MutableRow<T>(y_block.data + i * y_block.row_stride, out) *= inverse_sum[static_cast<std::size_t>(i)];
        }
      });
      if (finite) return result.give();
      // A query that is not finite, or that sees a key or a value that is not, has no answer.
      std::int64_t bad = 0;
      while (bad < keys && is_finite(given.key.data + bad * given.key.row_stride, width) &&
             is_finite(given.v.data + bad * given.v.row_stride, out)) {
        ++bad;
      }
      for (std::int64_t t = 0; t < queries; ++t) {
        if (t + offset < bad && is_finite(given.q.data + t * given.q.row_stride, width)) continue;
        log_sums[t] = std::numeric_limits<T>::quiet_NaN();
        MutableRow<T>(result.rows.at(t, 0).data, out).setConstant(log_sums[t]);
      }
      result.give();
    });
  });
}

void cpu::causal_attention_backward(const Tensor& dy, const Tensor& q, const Tensor& k, const Tensor& v,
                                    const Tensor& shared_key, const Tensor& y, const Tensor& log_sum, double scale,
                                    std::int64_t offset, Tensor& dq, Tensor& dk, Tensor& dv, Tensor& dshared) {
  visit_factors(q.dtype(), [&](auto tag) {
    using E = decltype(tag);
    using T = ComputeType<E>;
    const std::int64_t queries = q.dim(1), heads = q.dim(2), keys = k.dim(1), width = q.dim(3), out = v.dim(3);
    const std::int64_t own = k.dim(3);
    const bool keys_needed = dk.defined() || dshared.defined();
    // Each head's part of dshared, added in the order of the heads.
    const Tensor parts = dshared.defined() ? empty({q.dim(0), keys, heads, width - own}, {dtype_of<T>()}) : Tensor();
    if (queries == 0) {
      for (Tensor* x : {&dk, &dv, &dshared}) {
        if (x->defined()) x->fill(0);
      }
      return;
    }
    parallel_for(q.dim(0) * heads, [&](std::int64_t task) {
      const std::int64_t b = task / heads, h = task % heads;
      Head<E> one = head<E>(q, k, v, shared_key, b, h);
      Tensor kept_dy, kept_y, clean[4];
      Matrix<const E> dy_head = head_of<E>(dy, b, h, kept_dy);
      const Matrix<const E> y_head = head_of<E>(y, b, h, kept_y), dy_given = dy_head;
      const bool finite = is_finite(one.q, queries, width) && is_finite(one.key, keys, width) &&
                          is_finite(one.v, keys, out) && is_finite(dy_head, queries, out);
      if (!finite) {
        one.q = cleaned(one.q, queries, width, clean[0]);
        one.key = cleaned(one.key, keys, width, clean[1]);
        one.v = cleaned(one.v, keys, out, clean[2]);
        dy_head = cleaned(dy_head, queries, out, clean[3]);
      }
      const Scores<E> p(query_block, padded(keys)), ds(query_block, padded(keys));
      const Tensor dkey_all = keys_needed ? empty({keys, width}, {dtype_of<T>()}) : Tensor();
      const Matrix<T> dkey = {keys_needed ? dkey_all.ptr<T>() : nullptr, width, 1};
      const HeadOfResult<T> dq_head(dq, b, h), dv_head(dv, b, h);
      const T* log_sums = log_sum.ptr<T>() + task * queries;
      const T factor = static_cast<T>(scale);
      for_query_blocks(queries, keys, [&](std::int64_t first, std::int64_t rows, std::int64_t visible) {
        const bool more = first + rows < queries;  // a later block has been here
        const Matrix<const E> q_block = one.q.at(first, 0), dy_block = dy_head.at(first, 0);
        multiply<E, T>({rows, visible, width, q_block, one.key.transposed(), p.rows()});
        multiply<E, T>({rows, visible, out, dy_block, one.v.transposed(), ds.rows()});
        for (std::int64_t i = 0; i < rows; ++i) {
          const std::int64_t t = first + i, seen = seen_by(t, offset, visible);
          if constexpr (is_half_type<E>) prefetch(y_head.at(t, 0).data, y_head.row_stride, out);
          const T along = dot(dy_given.at(t, 0).data, y_head.at(t, 0).data, out);
          MutableRow<T> p_row(p.row(i), padded(seen)), ds_row(ds.row(i), padded(seen));
          p_row = (p_row * factor - (log_sums[t] + 0 * along)).exp();
          ds_row = p_row * (ds_row - along) * factor;
          p.finish(i, seen, visible);
          ds.finish(i, seen, visible);
        }
        if (dv.defined()) {
          multiply<E, T>({visible, out, rows, p.factor().transposed(), dy_block, dv_head.rows, more});
        }
        if (dq.defined()) {
          multiply<E, T>({rows, width, visible, ds.factor(), one.key, dq_head.rows.at(first, 0)});
        }
        if (keys_needed) {
          multiply<E, T>({visible, width, rows, ds.factor().transposed(), q_block, dkey, more});
        }
      });
      dq_head.give();
      dv_head.give();
      if (!keys_needed) return;
      if (dk.defined()) write_rows(dkey, keys, own, dk, begin_of(dk, b, h), dk.strides()[1]);
      if (dshared.defined()) {
        write_rows(dkey.at(0, own), keys, width - own, parts, begin_of(parts, b, h), parts.strides()[1]);
      }
    });
    if (!dshared.defined()) return;
    const bool rounds = is_half(dshared.dtype());
    Tensor sums = rounds ? empty(dshared.shape(), {dtype_of<T>()}) : dshared;
    cpu::sum(parts, q.dim(0) * keys, heads, width - own, sums);
    if (rounds) detail::widen_or_round(sums, dshared);
  });
}

namespace {

struct Masking {
  double scale;
  std::int64_t offset;
};

void check(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& shared_key, std::int64_t offset) {
  require_same_float(q, k, "causal_attention");
  require_same_float(q, v, "causal_attention");
  if (shared_key.defined()) require_same_float(q, shared_key, "causal_attention");
  bool fits = q.rank() == 4 && k.rank() == 4 && v.rank() == 4 && (!shared_key.defined() || shared_key.rank() == 3);
  if (fits) {
    const std::int64_t batch = q.dim(0), heads = q.dim(2), keys = k.dim(1);
    const std::int64_t rope = shared_key.defined() ? shared_key.dim(2) : 0;
    fits = k.shape() == Shape{batch, keys, heads, q.dim(3) - rope} && v.dim(0) == batch && v.dim(1) == keys &&
           v.dim(2) == heads && (!shared_key.defined() || (shared_key.dim(0) == batch && shared_key.dim(1) == keys)) &&
           offset >= 0 && keys == offset + q.dim(1);
  }
  require(fits, [&] {
    return "causal_attention: q " + to_string(q.shape()) + ", k " + to_string(k.shape()) + ", v " +
           to_string(v.shape()) + ", shared key " + (shared_key.defined() ? to_string(shared_key.shape()) : "none") +
           ", offset " + std::to_string(offset) +
           " do not fit: needs (B, T, H, K + R), (B, S, H, K), (B, S, H, V), (B, S, R), S = offset + T";
  });
}

Tensor readable(const Tensor& x) { return x.defined() ? unit_inner(x) : x; }

}  // namespace

Tensor causal_attention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& shared_key, double scale,
                        std::int64_t offset) {
  check(q, k, v, shared_key, offset);
  Tensor y = empty({q.dim(0), q.dim(1), q.dim(2), v.dim(3)}, q.options());
  Tensor log_sum = empty({q.dim(0), q.dim(2), q.dim(1)}, statistics_options(q));  // (B, H, T)
  kernel::causal_attention(readable(q), readable(k), readable(v), readable(shared_key), scale, offset, y, log_sum);
  return record({.op = op::causal_attention,
                 .inputs = {q, k, v, shared_key},
                 .outputs = {y},
                 .saved = {q, k, v, shared_key, y, log_sum},
                 .parameters = Masking{scale, offset},
                 .backward = [](const Entry& e, const Tensors& dy) -> Tensors {
                   auto [scale, offset] = e.parameter<Masking>();
                   if (fault::active(fault::Point::shift_mask)) --offset;
                   const Tensor key = e.has_saved(3) ? e.saved(3) : Tensor();
                   Tensors dx(4);
                   for (std::size_t i = 0; i < 4; ++i) {
                     if (e.needs(i)) dx[i] = empty(e.input_shape(i), dy[0].options());
                   }
                   kernel::causal_attention_backward(unit_inner(dy[0]), readable(e.saved(0)), readable(e.saved(1)),
                                                     readable(e.saved(2)), readable(key), e.saved(4), e.saved(5), scale,
                                                     offset, dx[0], dx[1], dx[2], dx[3]);
                   return dx;
                 }});
}

}  // namespace folio
