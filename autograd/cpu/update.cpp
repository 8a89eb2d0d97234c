// Parameter updates: one pass over memory each.
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "autograd/cpu/elementwise.hpp"
#include "autograd/kernels.hpp"

namespace folio {
namespace {

using cpu::parallel_ranges;

constexpr std::int64_t block = 16384;

template <class T>
cpu::MutableRow<T> rows(Tensor& x, std::int64_t begin, std::int64_t end) {
  return {x.ptr<T>() + begin, end - begin};
}
template <class T>
cpu::Row<T> rows(const Tensor& x, std::int64_t begin, std::int64_t end) {
  return {x.ptr<T>() + begin, end - begin};
}

template <class T>
void adamw_of(Tensor& p, const Tensor& g, Tensor& m, Tensor& v, double gradient_factor, double weight_decay,
              const AdamWStep& s) {
  const T b1 = static_cast<T>(s.beta1), b2 = static_cast<T>(s.beta2), eps = static_cast<T>(s.eps);
  const T c1 = static_cast<T>(1 - s.beta1), c2 = static_cast<T>(1 - s.beta2), factor = static_cast<T>(gradient_factor);
  const T decay = static_cast<T>(1 - s.lr * weight_decay), rate = static_cast<T>(s.lr / s.correction1);
  const T root = static_cast<T>(1 / std::sqrt(s.correction2));
  parallel_ranges(p.numel(), block, [&](std::int64_t begin, std::int64_t end) {
    constexpr std::int64_t piece = 512;  // stays in L1 from line to line
    for (std::int64_t i = begin; i < end; i += piece) {
      const std::int64_t j = std::min(i + piece, end);
      auto pi = rows<T>(p, i, j), mi = rows<T>(m, i, j), vi = rows<T>(v, i, j);
      const auto gi = rows<T>(g, i, j) * factor;
      mi = b1 * mi + c1 * gi;
      vi = b2 * vi + c2 * gi.square();
      pi = decay * pi - rate * mi / (vi.sqrt() * root + eps);
    }
  });
}

template <class T>
void sgd_of(Tensor& p, const Tensor& g, Tensor& u, double gradient_factor, double weight_decay, const SGDStep& s) {
  const T mu = static_cast<T>(s.momentum), factor = static_cast<T>(gradient_factor), lr = static_cast<T>(s.lr);
  const T decay = static_cast<T>(1 - s.lr * weight_decay);
  parallel_ranges(p.numel(), block, [&](std::int64_t i, std::int64_t j) {
    auto pi = rows<T>(p, i, j), ui = rows<T>(u, i, j);
    const auto gi = rows<T>(g, i, j) * factor;
    ui = mu * ui + gi;
    if (s.nesterov) {
      pi = decay * pi - lr * (gi + mu * ui);
    } else {
      pi = decay * pi - lr * ui;
    }
  });
}

template <class T>
void average_of(Tensor& average, const Tensor& x, double share) {
  const T part = static_cast<T>(share);
  parallel_ranges(x.numel(), block, [&](std::int64_t i, std::int64_t j) {
    auto ai = rows<T>(average, i, j);
    ai += part * (rows<T>(x, i, j) - ai);
  });
}

/// Σ x², in sums side by side that fill vectors, which Eigen's casts do not.
template <class T>
double sum_of_squares(const T* x, std::int64_t n) {
  constexpr std::int64_t lanes = 32;
  std::array<double, lanes> sums = {};
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    for (std::int64_t j = 0; j < lanes; ++j) {
      const auto value = static_cast<double>(x[i + j]);
      sums[static_cast<std::size_t>(j)] += value * value;
    }
  }
  for (; i < n; ++i) sums[0] += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

template <class T>
double squared_norm(const Tensor& x) {
  const std::int64_t blocks = (x.numel() + block - 1) / block;
  std::vector<double> partial(static_cast<std::size_t>(blocks), 0.0);
  parallel_ranges(x.numel(), block, [&](std::int64_t begin, std::int64_t end) {
    partial[static_cast<std::size_t>(begin / block)] = sum_of_squares(x.ptr<T>() + begin, end - begin);
  });
  double total = 0;
  for (double part : partial) total += part;
  return total;
}

}  // namespace

void cpu::adamw(Tensors& p, const Tensors& g, Tensors& m, Tensors& v, const Tensor& factor, const AdamWStep& s) {
  const double gradient_factor = *factor.ptr<double>();
  if (!std::isfinite(gradient_factor)) return;
  for (std::size_t i = 0; i < p.size(); ++i) {
    visit_float(p[i].dtype(), [&](auto tag) {
      adamw_of<decltype(tag)>(p[i], g[i], m[i], v[i], gradient_factor, s.weight_decay[i], s);
    });
  }
}

void cpu::sgd(Tensors& p, const Tensors& g, Tensors& u, const Tensor& factor, const SGDStep& s) {
  const double gradient_factor = *factor.ptr<double>();
  if (!std::isfinite(gradient_factor)) return;
  for (std::size_t i = 0; i < p.size(); ++i) {
    visit_float(p[i].dtype(),
                [&](auto tag) { sgd_of<decltype(tag)>(p[i], g[i], u[i], gradient_factor, s.weight_decay[i], s); });
  }
}

void cpu::average(Tensors& averages, const Tensors& xs, double share) {
  for (std::size_t i = 0; i < xs.size(); ++i) {
    visit_float(xs[i].dtype(), [&](auto tag) { average_of<decltype(tag)>(averages[i], xs[i], share); });
  }
}

void cpu::squared_norms(const Tensors& xs, Tensor& squares) {
  for (std::size_t i = 0; i < xs.size(); ++i) {
    visit_float(xs[i].dtype(), [&](auto tag) { squares.ptr<double>()[i] = squared_norm<decltype(tag)>(xs[i]); });
  }
}

void cpu::clip_factor(const Tensor& squares, double max_norm, double scale, Tensor& clipped) {
  double total = 0, which = -1;
  for (std::int64_t i = 0; i < squares.numel(); ++i) {
    const double square = squares.ptr<double>()[i];
    if (!std::isfinite(square) && which < 0) which = static_cast<double>(i);
    total += square;
  }
  const double norm = std::sqrt(total) / scale;
  double factor = 1 / scale;
  if (!std::isfinite(norm)) {
    factor = std::numeric_limits<double>::quiet_NaN();
  } else if (norm > max_norm) {
    factor = max_norm / norm / scale;
  }
  double* const figures = clipped.ptr<double>();
  figures[0] = norm, figures[1] = factor, figures[2] = which;
}

}  // namespace folio
