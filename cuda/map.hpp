#pragma once
/// y = f(x…), element by element, for any strides and broadcasts: the one iterator behind every element-wise kernel. f takes
/// 16-bit floats as float; what it gives is rounded once.
#include <array>
#include <limits>
#include <utility>

#include "cuda/op.hpp"

namespace folio::FOLIO_CUDA {

/// How the elements of N operands lie, neighbouring dimensions merged where all of them allow it. Operand 0 is the result.
template <int N>
struct Walk {
  std::uint32_t count = 0;  ///< of packs
  int rank = 0;
  std::uint32_t extent[Dims::max_rank] = {};
  std::int64_t stride[N][Dims::max_rank] = {};
  bool repeats[N] = {};  ///< one element serves a whole pack

  __device__ void offsets(std::uint32_t i, std::int64_t (&at)[N]) const {
    for (int o = 0; o < N; ++o) at[o] = 0;
#pragma unroll
    for (int d = Dims::max_rank - 1; d > 0; --d) {  // with bounds that the compiler knows, nothing goes to local memory
      if (d >= rank) continue;
      const std::uint32_t rest = i / extent[d];
      for (int o = 0; o < N; ++o) at[o] += (i - rest * extent[d]) * stride[o][d];
      i = rest;
    }
    for (int o = 0; o < N; ++o) at[o] += i * stride[o][0];
  }
};

template <int V, typename T>
__device__ Pack<T, V> fetch(const T* x, [[maybe_unused]] bool repeats) {
  if constexpr (V > 1) {
    if (repeats) {
      Pack<T, V> pack;
      for (int i = 0; i < V; ++i) pack[i] = *x;
      return pack;
    }
  }
  return load_pack<T, V>(x);
}

template <int V, typename F, typename Out, typename... In>
__device__ void map_packs(const F& f, Out* y, const Pack<In, V>&... x) {
  Pack<Out, V> result;
  for (int i = 0; i < V; ++i) result[i] = narrow<Out>(f(wide(x[i])...));
  store_pack(y, result);
}

template <int V, typename F, typename Out, typename... In, std::size_t... I>
__device__ void map_at(const Walk<1 + sizeof...(In)>& walk, std::uint32_t i, const F& f, std::index_sequence<I...>,
                       Out* y, const In*... x) {
  std::int64_t at[1 + sizeof...(In)];
  walk.offsets(i, at);
  map_packs<V>(f, y + at[0], fetch<V>(x + at[I + 1], walk.repeats[I + 1])...);
}

/// One thread per pack of V elements of y. Reads every x and writes y, n·(sizeof(Out) + Σ sizeof(In)) bytes; of a
/// broadcast operand what it holds, and its repetitions from the cache. The largest element makes a pack of 16 bytes;
/// elements with a gap between them or between packs move one by one.
template <int V, typename F, typename Out, typename... In>
__global__ void __launch_bounds__(block_threads) map_kernel(Walk<1 + sizeof...(In)> walk, F f, Out* y, const In*... x) {
  const std::int64_t i = thread_index();
  if (i < walk.count) map_at<V>(walk, static_cast<std::uint32_t>(i), f, std::index_sequence_for<In...>(), y, x...);
}

/// An operand with the type of its elements.
template <typename T>
struct Typed {
  const Tensor& tensor;
};

namespace detail {

template <int N>
Walk<N> make_walk(const std::array<const Tensor*, N>& operands) {
  const Shape& full = operands[0]->shape();
  const std::int64_t count = numel(full);
  require(count <= std::numeric_limits<std::int32_t>::max(), [&] {
    return "an element-wise kernel on a GPU takes up to 2147483647 elements, not " + to_string(full) +
           ": split the tensor";
  });
  std::array<Strides, N> strides;
  for (int o = 0; o < N; ++o) strides[o] = broadcast_strides(operands[o]->shape(), operands[o]->strides(), full);
  Walk<N> walk;
  walk.count = static_cast<std::uint32_t>(count);
  for (int d = 0; d < full.size(); ++d) {
    if (full[d] == 1) continue;
    const int last = walk.rank - 1;
    bool merges = last >= 0;
    for (int o = 0; o < N && merges; ++o) merges = walk.stride[o][last] == strides[o][d] * full[d];
    const int at = merges ? last : walk.rank++;
    walk.extent[at] = static_cast<std::uint32_t>(merges ? walk.extent[at] * full[d] : full[d]);
    for (int o = 0; o < N; ++o) walk.stride[o][at] = strides[o][d];
  }
  if (walk.rank == 0) {
    walk.rank = 1;
    walk.extent[0] = 1;
    for (int o = 0; o < N; ++o) walk.stride[o][0] = 1;
  }
  return walk;
}

/// Whether packs of V elements lie whole in every operand; their addresses are multiples of `V` elements.
template <int N>
bool packs_fit(const Walk<N>& walk, int V, const std::array<bool, N>& aligned) {
  const int last = walk.rank - 1;
  bool fits = walk.stride[0][last] == 1 && (last == 0 || walk.extent[last] % V == 0);
  for (int o = 0; o < N; ++o) {
    if (walk.stride[o][last] == 0) continue;
    fits = fits && walk.stride[o][last] == 1 && aligned[o];
    for (int d = 0; d < last; ++d) fits = fits && walk.stride[o][d] % V == 0;
  }
  return fits;
}

template <int V, typename Out, typename F, typename... In>
void launch_map(const Walk<1 + sizeof...(In)>& walk, const F& f, Out* y, const In*... x) {
  void (*const kernel)(Walk<1 + sizeof...(In)>, F, Out*, const In*...) = map_kernel<V, F, Out, In...>;
  const int threads = threads_for(walk.count);
  launch(kernel, blocks_for(walk.count, threads), threads, 0, stream(), walk, f, y, x...);
}

}  // namespace detail

/// y = f(x…) with elements of the given types.
template <typename Out, typename F, typename... In>
void map(const F& f, Tensor& y, Typed<In>... x) {
  constexpr int N = 1 + sizeof...(In);
  constexpr int V = static_cast<int>(16 / std::max({sizeof(Out), sizeof(In)...}));
  if (y.numel() == 0) return;
  Walk<N> walk = detail::make_walk<N>({&y, &x.tensor...});
  const std::array<bool, N> aligned = {is_pack_aligned<Pack<Out, V>>(y.ptr<Out>()),
                                       is_pack_aligned<Pack<In, V>>(x.tensor.template ptr<In>())...};
  if (!detail::packs_fit<N>(walk, V, aligned)) {
    return detail::launch_map<1>(walk, f, y.ptr<Out>(), static_cast<const In*>(x.tensor.template ptr<In>())...);
  }
  const int last = walk.rank - 1;
  Walk<N> tail = walk;  // only where all is one run
  walk.extent[last] /= V;
  walk.count /= V;
  for (int o = 0; o < N; ++o) {
    walk.repeats[o] = walk.stride[o][last] == 0;
    walk.stride[o][last] *= V;
  }
  const std::int64_t done = std::int64_t{walk.count} * V;
  tail.count -= static_cast<std::uint32_t>(done);
  if (walk.count > 0) {
    detail::launch_map<V>(walk, f, y.ptr<Out>(), static_cast<const In*>(x.tensor.template ptr<In>())...);
  }
  if (tail.count == 0) return;
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    detail::launch_map<1>(tail, f, y.ptr<Out>() + done,
                          static_cast<const In*>(x.tensor.template ptr<In>() + done * tail.stride[I + 1][0])...);
  }(std::index_sequence_for<In...>());
}

/// The same where y and every x are of one float dtype, 16-bit ones too.
template <typename F, typename... X>
void map_floats(const F& f, Tensor& y, const X&... x) {
  visit_stored(y.dtype(), [&](auto tag) {
    using T = decltype(tag);
    map<T>(f, y, Typed<T>{x}...);
  });
}

}  // namespace folio::FOLIO_CUDA
