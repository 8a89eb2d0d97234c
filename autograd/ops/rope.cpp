// (y₁, y₂) = (x₁·cos θ − x₂·sin θ, x₂·cos θ + x₁·sin θ) for each pair      dx: dy turned by −θ
#include <algorithm>
#include <cmath>
#include <tuple>
#include <vector>

#include "autograd/cpu/elementwise.hpp"
#include "autograd/ops/op.hpp"

namespace folio {
namespace {

/// cos θ and sin θ of each position and pair, θ = t·base^(−2i/R): (T, 2, R/2).
std::vector<double> turns_of(std::int64_t length, std::int64_t pairs, const RopeOptions& options) {
  std::vector<double> values(static_cast<std::size_t>(length * 2 * pairs));
  for (std::int64_t i = 0; i < pairs; ++i) {
    const double frequency = std::pow(options.base, -static_cast<double>(i) / static_cast<double>(pairs));
    for (std::int64_t t = 0; t < length; ++t) {
      const double angle = static_cast<double>(options.offset + t) * frequency;
      double* turn = values.data() + t * 2 * pairs + i;
      turn[0] = std::cos(angle);
      turn[pairs] = std::sin(angle);
    }
  }
  return values;
}

/// The same as a tensor. This thread's last ones are kept: the queries and keys of all layers turn alike.
Tensor kept_turns_of(std::int64_t length, std::int64_t pairs, const RopeOptions& options, Options place) {
  static thread_local std::tuple<std::int64_t, std::int64_t, double, std::int64_t> kept;
  static thread_local std::vector<double> values;
  const auto wanted = std::tuple(length, pairs, options.base, options.offset);
  if (wanted != kept) values = turns_of(length, pairs, options);
  kept = wanted;
  return from_vector(values, {length, 2, pairs}, place);
}

/// One head; sign −1 turns back.
template <class T>
void turn(const T* __restrict x, const T* __restrict cosine, const T* __restrict sine, T sign, std::int64_t pairs,
          RopePairs layout, T* __restrict y) {
  if (layout == RopePairs::interleaved) {
    for (std::int64_t i = 0; i < pairs; ++i) {
      y[2 * i] = x[2 * i] * cosine[i] - x[2 * i + 1] * (sign * sine[i]);
      y[2 * i + 1] = x[2 * i + 1] * cosine[i] + x[2 * i] * (sign * sine[i]);
    }
  } else {
    for (std::int64_t i = 0; i < pairs; ++i) {
      y[i] = x[i] * cosine[i] - x[i + pairs] * (sign * sine[i]);
      y[i + pairs] = x[i + pairs] * cosine[i] + x[i] * (sign * sine[i]);
    }
  }
}

struct Turning {
  std::int64_t skip;
  RopePairs pairs;
};

}  // namespace

void cpu::rope(const Tensor& x, const Tensor& turns, std::int64_t skip, RopePairs layout, bool inverse, Tensor& y) {
  visit_compute(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const detail::Elements<T> in(x), out(y);
    const std::int64_t length = x.dim(1), heads = x.dim(2), width = x.dim(3), pairs = turns.dim(2);
    const Strides& stride = x.strides();
    parallel_ranges(x.dim(0) * length, 16, [&](std::int64_t begin, std::int64_t end) {
      RowBuffer<T> in_buffer(width), out_buffer(width);
      for (std::int64_t i = begin; i < end; ++i) {
        const T* cosine = turns.ptr<T>() + i % length * 2 * pairs;
        for (std::int64_t h = 0; h < heads; ++h) {
          const std::int64_t at = (i * heads + h) * width;
          const T* from =
              in.read(i / length * stride[0] + i % length * stride[1] + h * stride[2], 1, width, in_buffer.data());
          T* to = out.target(at, 1, out_buffer.data());
          std::copy(from, from + skip, to);
          turn(from + skip, cosine, cosine + pairs, inverse ? T{-1} : T{1}, pairs, layout, to + skip);
          out.write(to, at, 1, width);
        }
      }
    });
  });
}

Tensor rope(const Tensor& x, RopeOptions options) {
  require_float(x, "rope");
  require(x.rank() == 4 && options.skip >= 0 && options.skip < x.dim(3) && (x.dim(3) - options.skip) % 2 == 0, [&] {
    return "rope: needs (B, T, H, skip + R) with R even and not 0, got " + to_string(x.shape()) + " with skip " +
           std::to_string(options.skip);
  });
  require(options.offset >= 0 && options.base > 0, [&] {
    return "rope: offset " + std::to_string(options.offset) + " must not be negative, base " +
           std::to_string(options.base) + " must be positive";
  });
  const Tensor turns =
      kept_turns_of(x.dim(1), (x.dim(3) - options.skip) / 2, options, statistics_options(x));  // (T, 2, R/2)
  Tensor y = empty(x.shape(), x.options());
  kernel::rope(unit_inner(x), turns, options.skip, options.pairs, false, y);
  return record({.op = op::rope,
                 .inputs = {x},
                 .outputs = {y},
                 .saved = {turns},
                 .parameters = Turning{options.skip, options.pairs},
                 .backward = [](const Entry& e, const Tensors& dy) -> Tensors {
                   const auto [skip, pairs] = e.parameter<Turning>();
                   Tensor dx = empty(e.input_shape(0), dy[0].options());
                   kernel::rope(unit_inner(dy[0]), e.saved(0), skip, pairs, true, dx);
                   return {dx};
                 }});
}

}  // namespace folio
