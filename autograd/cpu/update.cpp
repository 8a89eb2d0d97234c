// Parameter updates: one pass over memory each.
#include <cmath>
#include <vector>

#include "autograd/cpu/elementwise.hpp"
#include "autograd/kernels.hpp"

namespace folio {
namespace {

constexpr std::int64_t block = 16384;

template <class T>
cpu::MutableRow<T> rows(Tensor& x, std::int64_t begin, std::int64_t end) {
  return {x.ptr<T>() + begin, end - begin};
}
template <class T>
cpu::Row<T> rows(const Tensor& x, std::int64_t begin, std::int64_t end) {
  return {x.ptr<T>() + begin, end - begin};
}

}  // namespace

void cpu::adamw(Tensor& p, const Tensor& g, Tensor& m, Tensor& v, const AdamWStep& s) {
  visit_float(p.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const T b1 = static_cast<T>(s.beta1), b2 = static_cast<T>(s.beta2), eps = static_cast<T>(s.eps);
    const T c1 = static_cast<T>(1 - s.beta1), c2 = static_cast<T>(1 - s.beta2),
            factor = static_cast<T>(s.gradient_factor);
    const T decay = static_cast<T>(1 - s.lr * s.weight_decay), rate = static_cast<T>(s.lr / s.correction1);
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
  });
}

void cpu::sgd(Tensor& p, const Tensor& g, Tensor& u, const SGDStep& s) {
  visit_float(p.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const T mu = static_cast<T>(s.momentum), factor = static_cast<T>(s.gradient_factor), lr = static_cast<T>(s.lr);
    const T decay = static_cast<T>(1 - s.lr * s.weight_decay);
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
  });
}

void cpu::squared_norm(const Tensor& x, Tensor& y) {
  visit_float(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const std::int64_t blocks = (x.numel() + block - 1) / block;
    std::vector<double> partial(static_cast<std::size_t>(blocks), 0.0);
    parallel_ranges(x.numel(), block, [&](std::int64_t begin, std::int64_t end) {
      partial[static_cast<std::size_t>(begin / block)] = rows<T>(x, begin, end).template cast<double>().square().sum();
    });
    double total = 0;
    for (double part : partial) total += part;
    *y.ptr<double>() = total;
  });
}

}  // namespace folio
