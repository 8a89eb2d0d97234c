// gather, its backward, index_add and embedding. An index that points nowhere makes its result NaN and is reported with
// the next copy to the host, so that nothing waits for it.
#include "cuda/op.hpp"

namespace folio::FOLIO_CUDA {
namespace {

/// Packed shapes of the tensor that is indexed and of the index, which differ along `dim` at most in any way and elsewhere
/// in size.
struct Grid {
  int rank = 0, dim = 0;
  std::int64_t index_extent[Dims::max_rank] = {}, x_extent[Dims::max_rank] = {};
};

Grid make_grid(const Tensor& x, int dim, const Tensor& index) {
  Grid g;
  g.rank = x.rank();
  g.dim = dim;
  for (int d = 0; d < g.rank; ++d) {
    g.index_extent[d] = index.shape()[d];
    g.x_extent[d] = x.shape()[d];
  }
  return g;
}

/// One thread per element of the index. Reads the index once and one element of x for each, writes as many: 12 bytes
/// with float32 and int32 and 8 with 16-bit floats, more where neighbours point far apart.
template <typename T, typename Index>
__global__ void __launch_bounds__(block_threads)
    gather_kernel(const T* x, const Index* index, Grid g, std::int64_t n, T* y, Report bad) {
  const std::int64_t i = thread_index();
  if (i >= n) return;
  const std::int64_t chosen = index[i];
  if (chosen < 0 || chosen >= g.x_extent[g.dim]) {
    complain(bad, Finder::gather, i);
    y[i] = narrow<T>(NAN);
    return;
  }
  std::int64_t rest = i, from = 0, stride = 1;
  for (int d = g.rank - 1; d >= 0; --d) {
    from += (d == g.dim ? chosen : rest % g.index_extent[d]) * stride;
    rest /= g.index_extent[d];
    stride *= g.x_extent[d];
  }
  y[i] = x[from];
}

/// One thread per element of dx, which looks through its line of the index in order: the sums are the same in every run,
/// and one of 16-bit floats is rounded once.
/// Writes dx and reads the index once per element of dx along `dim`, from the cache but for the first time.
template <typename T, typename Index>
__global__ void __launch_bounds__(block_threads)
    gather_backward_kernel(const T* dy, const Index* index, Grid g, std::int64_t n, T* dx) {
  const std::int64_t i = thread_index();
  if (i >= n) return;
  std::int64_t rest = i, line = 0, stride = 1, along = 1, place = 0;
  bool reached = true;
  for (int d = g.rank - 1; d >= 0; --d) {
    const std::int64_t at = rest % g.x_extent[d];
    if (d == g.dim) {
      place = at;
      along = stride;
    } else {
      reached = reached && at < g.index_extent[d];
      line += at * stride;
    }
    rest /= g.x_extent[d];
    stride *= g.index_extent[d];
  }
  Accumulator<T> total = 0;
  if (reached) {
    for (std::int64_t j = 0; j < g.index_extent[g.dim]; ++j) {
      if (index[line + j * along] == place) total += wide(dy[line + j * along]);
    }
  }
  dx[i] = narrow<T>(total);
}

/// One thread per pack of V columns of a row of y. Reads and writes each row once: 8 bytes per float32 element, 4
/// per 16-bit one.
template <int V, typename T, typename Index>
__global__ void __launch_bounds__(block_threads)
    embedding_kernel(const T* table, std::int64_t below, const Index* index, std::int64_t n, std::int64_t width, T* y,
                     Report bad) {
  const std::int64_t i = thread_index() * V;
  if (i >= n) return;
  const std::int64_t row = i / width, chosen = index[row];
  Pack<T, V> values;
  if (chosen >= 0 && chosen < below) {
    values = load_pack<T, V>(table + chosen * width + i % width);
  } else {
    complain(bad, Finder::embedding, row);
    for (int j = 0; j < V; ++j) values[j] = narrow<T>(NAN);
  }
  store_pack(y + i, values);
}

/// One block per row of y and `blockDim.x` of its columns: it looks through the index, a tile at a time, and adds the
/// rows of `source` that belong to it, in order, so that every run gives the same bits, and rounds the sum once. Reads
/// source once and writes y once; the index is read once per row of y, from the cache.
template <typename T, typename Index>
__global__ void __launch_bounds__(block_threads)
    index_add_kernel(const T* x, const Index* index, std::int64_t count, const T* source, std::int64_t rows,
                     std::int64_t width, T* y, Report bad) {
  SHARED(unsigned char, mine, [block_threads]);
  const std::int64_t pieces = (width + blockDim.x - 1) / blockDim.x;
  const std::int64_t row = blockIdx.x / pieces, column = blockIdx.x % pieces * blockDim.x + threadIdx.x;
  const bool active = column < width;
  Accumulator<T> total = active && x != nullptr ? wide(x[row * width + column]) : 0;
  for (std::int64_t begin = 0; begin < count; begin += blockDim.x) {
    const std::int64_t j = begin + threadIdx.x;
    const std::int64_t chosen = j < count ? static_cast<std::int64_t>(index[j]) : row + 1;
    if (j < count && (chosen < 0 || chosen >= rows)) complain(bad, Finder::index_add, j);
    mine[threadIdx.x] = chosen == row;
    const int any = __syncthreads_or(chosen == row);
    if (any && active) {
      for (unsigned k = 0; k < blockDim.x; ++k) {
        if (mine[k]) total += wide(source[(begin + k) * width + column]);
      }
    }
    __syncthreads();
  }
  if (active) y[row * width + column] = narrow<T>(total);
}

template <typename F>
void visit_both(const Tensor& x, const Tensor& index, F&& f) {
  visit_stored(x.dtype(), [&](auto type) { visit_index(index.dtype(), [&](auto tag) { f(type, tag); }); });
}

}  // namespace

void entry::gather(const Tensor& x, int dim, const Tensor& index, Tensor& y) {
  const std::int64_t n = index.numel();
  if (n == 0) return;
  visit_both(x, index, [&](auto type, auto tag) {
    using T = decltype(type);
    using Index = decltype(tag);
    launch(gather_kernel<T, Index>, blocks_for(n, threads_for(n)), threads_for(n), 0, stream(), x.ptr<T>(),
           index.ptr<Index>(), make_grid(x, dim, index), n, y.ptr<T>(), report());
  });
}

void entry::gather_backward(const Tensor& dy, int dim, const Tensor& index, Tensor& dx) {
  const std::int64_t n = dx.numel();
  visit_both(dx, index, [&](auto type, auto tag) {
    using T = decltype(type);
    using Index = decltype(tag);
    launch(gather_backward_kernel<T, Index>, blocks_for(n, threads_for(n)), threads_for(n), 0, stream(), pointer<T>(dy),
           pointer<Index>(index), make_grid(dx, dim, index), n, dx.ptr<T>());
  });
}

void entry::embedding(const Tensor& table, const Tensor& index, Tensor& y) {
  if (y.numel() == 0) return;
  const std::int64_t width = y.numel() / index.numel();
  visit_both(y, index, [&](auto type, auto tag) {
    using T = decltype(type);
    using Index = decltype(tag);
    constexpr int V = Pack<T>::size;
    const bool whole =
        width % V == 0 && is_pack_aligned<Pack<T>>(table.ptr<T>()) && is_pack_aligned<Pack<T>>(y.ptr<T>());
    const std::int64_t threads = whole ? y.numel() / V : y.numel();
    launch(whole ? embedding_kernel<V, T, Index> : embedding_kernel<1, T, Index>,
           blocks_for(threads, threads_for(threads)), threads_for(threads), 0, stream(), table.ptr<T>(), table.dim(0),
           index.ptr<Index>(), y.numel(), width, y.ptr<T>(), report());
  });
}

void entry::index_add(const Tensor& x, const Tensor& index, const Tensor& source, Tensor& y) {
  if (y.numel() == 0) return;
  const std::int64_t rows = y.dim(0), width = y.numel() / rows, count = index.numel();
  visit_both(y, index, [&](auto type, auto tag) {
    using T = decltype(type);
    using Index = decltype(tag);
    const int threads = threads_for(width);
    launch(index_add_kernel<T, Index>, rows * blocks_for(width, threads), threads, 0, stream(), pointer<T>(x),
           pointer<Index>(index), count, pointer<T>(source), rows, width, y.ptr<T>(), report());
  });
}

}  // namespace folio::FOLIO_CUDA
