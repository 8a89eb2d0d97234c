// dgate = dy·up·σ·(1 + gate·(1 − σ)), dup = dy·gate·σ, σ = σ(gate), in one pass. (Forward is an element-wise map,
// in functions.cu.)
#include "cuda/op.hpp"

namespace folio::FOLIO_CUDA {
namespace {

struct RowStrides {
  std::int64_t dy, gate, up;
};

/// One thread per pack of V channels; dgate or dup may be null. Reads dy, gate and up and writes both gradients,
/// 5·rows·d·sizeof(T) bytes.
template <int V, typename T>
__global__ void __launch_bounds__(block_threads)
    swiglu_backward_kernel(const T* dy, const T* gate, const T* up, RowStrides stride, std::int64_t rows,
                           std::int64_t d, T* dgate, T* dup) {
  using A = Accumulator<T>;
  const std::int64_t i = thread_index() * V;
  if (i >= rows * d) return;
  const std::int64_t row = i / d, c = i % d;
  const Pack<T, V> g = load_pack<T, V>(dy + row * stride.dy + c);
  const Pack<T, V> x = load_pack<T, V>(gate + row * stride.gate + c);
  const Pack<T, V> u = load_pack<T, V>(up + row * stride.up + c);
  Pack<T, V> dx, du;
  for (int j = 0; j < V; ++j) {
    const A upstream = wide(g[j]), of_gate = wide(x[j]), sigma = A{1} / (A{1} + exp(-of_gate));
    dx[j] = narrow<T>(upstream * wide(u[j]) * sigma * (A{1} + of_gate * (A{1} - sigma)));
    du[j] = narrow<T>(upstream * of_gate * sigma);
  }
  if (dgate != nullptr) store_pack(dgate + i, dx);
  if (dup != nullptr) store_pack(dup + i, du);
}

}  // namespace

void entry::swiglu_backward(const Tensor& dy, const Tensor& gate, const Tensor& up, Tensor& dgate, Tensor& dup) {
  visit_stored(dy.dtype(), [&](auto tag) {
    using T = decltype(tag);
    constexpr int V = Pack<T>::size;
    const std::int64_t rows = dy.dim(0), d = dy.dim(1);
    T* const dgate_data = dgate.defined() ? dgate.ptr<T>() : nullptr;
    T* const dup_data = dup.defined() ? dup.ptr<T>() : nullptr;
    const bool fits = whole_packs<V>({d, dy.strides()[0], gate.strides()[0], up.strides()[0]}, dy.ptr<T>(),
                                     gate.ptr<T>(), up.ptr<T>(), dgate_data, dup_data);
    const std::int64_t n = fits ? rows * d / V : rows * d;
    launch(fits ? swiglu_backward_kernel<V, T> : swiglu_backward_kernel<1, T>, blocks_for(n, threads_for(n)),
           threads_for(n), 0, stream(), dy.ptr<T>(), gate.ptr<T>(), up.ptr<T>(),
           RowStrides{dy.strides()[0], gate.strides()[0], up.strides()[0]}, rows, d, dgate_data, dup_data);
  });
}

}  // namespace folio::FOLIO_CUDA
