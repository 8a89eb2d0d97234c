// Parameter updates: AdamW reads p, g, m, v and writes p, m, v in one pass, 28 bytes per float32 parameter; SGD 20; the
// squared norm of a gradient reads 4, or 2 of 16 bits.
#include <cmath>

#include "cuda/rows.hpp"

namespace folio::FOLIO_CUDA {
namespace {

constexpr std::int64_t elements_per_warp = 4096;

template <typename T>
struct AdamWFactors {
  T beta1, beta2, rest1, rest2, eps, factor, decay, rate, root;
};

/// One thread per pack of V parameters.
template <int V, typename T>
__global__ void __launch_bounds__(block_threads)
    adamw_kernel(T* p, const T* g, T* m, T* v, AdamWFactors<T> s, std::int64_t n) {
  const std::int64_t i = thread_index() * V;
  if (i >= n) return;
  Pack<T, V> pi = load_pack<T, V>(p + i), mi = load_pack<T, V>(m + i), vi = load_pack<T, V>(v + i);
  const Pack<T, V> gi = load_pack<T, V>(g + i);
  for (int j = 0; j < V; ++j) {
    const T gradient = gi[j] * s.factor;
    mi[j] = s.beta1 * mi[j] + s.rest1 * gradient;
    vi[j] = s.beta2 * vi[j] + s.rest2 * gradient * gradient;
    pi[j] = s.decay * pi[j] - s.rate * mi[j] / (sqrt(vi[j]) * s.root + s.eps);
  }
  store_pack(p + i, pi);
  store_pack(m + i, mi);
  store_pack(v + i, vi);
}

template <typename T>
struct SGDFactors {
  T momentum, factor, lr, decay;
  bool nesterov;
};

template <int V, typename T>
__global__ void __launch_bounds__(block_threads) sgd_kernel(T* p, const T* g, T* u, SGDFactors<T> s, std::int64_t n) {
  const std::int64_t i = thread_index() * V;
  if (i >= n) return;
  Pack<T, V> pi = load_pack<T, V>(p + i), ui = load_pack<T, V>(u + i);
  const Pack<T, V> gi = load_pack<T, V>(g + i);
  for (int j = 0; j < V; ++j) {
    const T gradient = gi[j] * s.factor;
    ui[j] = s.momentum * ui[j] + gradient;
    pi[j] = s.decay * pi[j] - s.lr * (s.nesterov ? gradient + s.momentum * ui[j] : ui[j]);
  }
  store_pack(p + i, pi);
  store_pack(u + i, ui);
}

template <typename T>
__global__ void __launch_bounds__(block_threads) squared_norm_kernel(const T* x, std::int64_t n, double* partial) {
  const std::int64_t begin = warp_index() * elements_per_warp;
  if (begin >= n) return;
  double total = 0;
  each_of_row(
      n - begin < elements_per_warp ? n - begin : elements_per_warp,
      [&](std::int64_t, Accumulator<T> value) { total += static_cast<double>(value) * static_cast<double>(value); },
      x + begin);
  total = warp_sum(total);
  if (lane_index() == 0) partial[warp_index()] = total;
}

template <typename T, typename... P>
bool whole_packs(std::int64_t n, const P*... x) {
  return n % Pack<T>::size == 0 && (is_pack_aligned<Pack<T>>(x) && ...);
}

}  // namespace

void entry::adamw(Tensor& p, const Tensor& g, Tensor& m, Tensor& v, const AdamWStep& s) {
  visit_float(p.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const auto as = [](double x) { return static_cast<T>(x); };
    const AdamWFactors<T> factors = {as(s.beta1),
                                     as(s.beta2),
                                     as(1 - s.beta1),
                                     as(1 - s.beta2),
                                     as(s.eps),
                                     as(s.gradient_factor),
                                     as(1 - s.lr * s.weight_decay),
                                     as(s.lr / s.correction1),
                                     as(1 / std::sqrt(s.correction2))};
    const bool whole = whole_packs<T>(p.numel(), p.ptr<T>(), g.ptr<T>(), m.ptr<T>(), v.ptr<T>());
    const std::int64_t threads = whole ? p.numel() / Pack<T>::size : p.numel();
    launch(whole ? adamw_kernel<Pack<T>::size, T> : adamw_kernel<1, T>, blocks_for(threads, threads_for(threads)),
           threads_for(threads), 0, stream(), p.ptr<T>(), g.ptr<T>(), m.ptr<T>(), v.ptr<T>(), factors, p.numel());
  });
}

void entry::sgd(Tensor& p, const Tensor& g, Tensor& u, const SGDStep& s) {
  visit_float(p.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const SGDFactors<T> factors = {static_cast<T>(s.momentum), static_cast<T>(s.gradient_factor), static_cast<T>(s.lr),
                                   static_cast<T>(1 - s.lr * s.weight_decay), s.nesterov};
    const bool whole = whole_packs<T>(p.numel(), p.ptr<T>(), g.ptr<T>(), u.ptr<T>());
    const std::int64_t threads = whole ? p.numel() / Pack<T>::size : p.numel();
    launch(whole ? sgd_kernel<Pack<T>::size, T> : sgd_kernel<1, T>, blocks_for(threads, threads_for(threads)),
           threads_for(threads), 0, stream(), p.ptr<T>(), g.ptr<T>(), u.ptr<T>(), factors, p.numel());
  });
}

void entry::squared_norm(const Tensor& x, Tensor& y) {
  const std::int64_t parts = blocks_for(x.numel(), elements_per_warp);
  const Tensor partial = empty({parts}, {DType::float64, x.device()});
  visit_stored(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    launch(squared_norm_kernel<T>, blocks_for_rows(parts), threads_for_rows(parts), 0, stream(), pointer<T>(x),
           x.numel(), partial.ptr<double>());
  });
  sum_rows(partial.ptr<double>(), 1, parts, y.ptr<double>(), x.device());
}

}  // namespace folio::FOLIO_CUDA
