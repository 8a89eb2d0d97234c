// gather, its backward, index_add and embedding. An index that points nowhere makes its result NaN and is reported with
// the next copy to the host, so that nothing waits for it.
#include "cuda/rows.hpp"

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

/// Elements that one thread takes of rows of T beside rows of indices: 16 bytes of the larger.
template <typename T, typename Index>
constexpr int beside = static_cast<int>(16 / std::max(sizeof(T), sizeof(Index)));

/// One thread per pack of V elements of the index, neighbours along the last dimension. Reads the index and an element
/// of x for each and writes as many, n·(sizeof(Index) + 2·sizeof(T)) bytes; elements of x that lie far apart cost 32
/// bytes each.
template <int V, typename T, typename Index>
__global__ void __launch_bounds__(block_threads)
    gather_kernel(const T* x, const Index* index, Grid g, std::int64_t n, T* y, Report bad) {
  const std::int64_t i = thread_index() * V;
  if (i >= n) return;
  const Pack<Index, V> chosen = load_pack<Index, V>(index + i);
  std::int64_t rest = i, from = 0, stride = 1, along = 1;
  for (int d = g.rank - 1; d >= 0; --d) {
    if (d == g.dim) {
      along = stride;
    } else {
      from += rest % g.index_extent[d] * stride;
    }
    rest /= g.index_extent[d];
    stride *= g.x_extent[d];
  }
  const int next = g.dim == g.rank - 1 ? 0 : 1;  // where an element's neighbour looks
  Pack<T, V> values;
  for (int j = 0; j < V; ++j) {
    if (chosen[j] >= 0 && chosen[j] < g.x_extent[g.dim]) {
      values[j] = x[from + j * next + chosen[j] * along];
    } else {
      complain(bad, Finder::gather, i + j);
      values[j] = narrow<T>(NAN);
    }
  }
  store_pack(y + i, values);
}

/// One thread per pack of V elements of dx, neighbours along the last dimension, which looks through its lines of the
/// index in order: the sums are the same in every run, and one of 16-bit floats is rounded once. Reads the index and dy
/// and writes dx, n·sizeof(T) + index·(sizeof(Index) + sizeof(T)) bytes; every other look at a line, one for each pack
/// of dx along `dim`, is from the cache.
template <int V, typename T, typename Index>
__global__ void __launch_bounds__(block_threads, four_resident)
    gather_backward_kernel(const T* dy, const Index* index, Grid g, std::int64_t n, T* dx) {
  const std::int64_t i = thread_index() * V;
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
  Columns<T, V> total = {};
  const std::int64_t length = reached ? g.index_extent[g.dim] : 0;
  if (g.dim == g.rank - 1) {  // one line for all of the pack
#pragma unroll 2
    for (std::int64_t j = line; j < line + length; ++j) {
      const std::int64_t chosen = index[j];
      if (chosen < place || chosen >= place + V) continue;
      const auto upstream = wide(dy[j]);
      for (int v = 0; v < V; ++v) {
        if (chosen == place + v) total.value[v] += upstream;
      }
    }
  } else {
#pragma unroll 2
    for (std::int64_t j = 0; j < length; ++j) {
      const Pack<Index, V> chosen = load_pack<Index, V>(index + line + j * along);
      const auto upstream = Columns<T, V>::load(dy + line + j * along);
      for (int v = 0; v < V; ++v) {
        if (chosen[v] == place) total.value[v] += upstream.value[v];
      }
    }
  }
  total.store(dx + i);
}

/// One thread per pack of V columns of a row of y. Reads and writes each row once, 2·n·sizeof(T) bytes.
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

/// Indices that a thread of index_add looks at between two barriers.
constexpr int looks = 4;

/// One block per row of y and `blockDim.x` packs of V columns, a row being cut into so many `pieces`: it looks through
/// the index, a tile at a time, and adds the rows of `source` that belong to it, in order, and then x's, so that every run
/// gives the same bits, and rounds the sum once. x may be y. Reads x and source and writes y, (2·rows + count)·width·sizeof(T) bytes; the
/// index is read once per block, from the cache. Its rows·count looks bind where rows are many and narrow.
template <int V, typename T, typename Index>
__global__ void __launch_bounds__(block_threads)
    index_add_kernel(const T* x, const Index* index, std::int64_t count, const T* source, std::int64_t rows,
                     std::int64_t width, unsigned pieces, T* y, Report bad) {
  SHARED(unsigned, mine, [looks * block_threads / warp_threads]);  // a bit for each index of the tile
  const int tile = looks * static_cast<int>(blockDim.x);
  const std::int64_t row = blockIdx.x / pieces;
  const std::int64_t column = (std::int64_t{blockIdx.x % pieces} * blockDim.x + threadIdx.x) * V;
  const bool active = column < width;
  Columns<T, V> total = {};
  bool used = false;
  for (std::int64_t begin = 0; begin < count; begin += tile) {
    bool found = false;
    for (int look = 0; look < looks; ++look) {
      const int at = look * static_cast<int>(blockDim.x) + static_cast<int>(threadIdx.x);
      const std::int64_t j = begin + at, chosen = j < count ? static_cast<std::int64_t>(index[j]) : row + 1;
      if (j < count && (chosen < 0 || chosen >= rows)) complain(bad, Finder::index_add, j);
      const unsigned matches = __ballot_sync(all_lanes, chosen == row);
      if (lane_index() == 0) mine[at / warp_threads] = matches;
      found = found || matches != 0;
    }
    const bool any = __syncthreads_or(found) != 0;
    used = used || any;
    if (any && active) {
      for (int word = 0; word < tile / warp_threads; ++word) {
        for (unsigned left = mine[word]; left != 0; left &= left - 1) {
          const std::int64_t j = begin + word * warp_threads + __ffs(static_cast<int>(left)) - 1;
          const auto in = Columns<T, V>::load(source + j * width + column);
          for (int v = 0; v < V; ++v) total.value[v] += in.value[v];
        }
      }
    }
    __syncthreads();
  }
  if (!active || (x == y && !used)) return;
  if (x != nullptr) {
    const auto before = Columns<T, V>::load(x + row * width + column);
    for (int v = 0; v < V; ++v) total.value[v] = used ? total.value[v] + before.value[v] : before.value[v];
  }
  total.store(y + row * width + column);
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
    constexpr int V = beside<T, Index>;
    const bool whole = whole_packs<V>({index.dim(-1)}, index.ptr<Index>(), y.ptr<T>());
    const std::int64_t threads = whole ? n / V : n;
    launch(whole ? gather_kernel<V, T, Index> : gather_kernel<1, T, Index>, blocks_for(threads, threads_for(threads)),
           threads_for(threads), 0, stream(), x.ptr<T>(), index.ptr<Index>(), make_grid(x, dim, index), n, y.ptr<T>(),
           report());
  });
}

void entry::gather_backward(const Tensor& dy, int dim, const Tensor& index, Tensor& dx) {
  const std::int64_t n = dx.numel();
  if (n == 0) return;
  visit_both(dx, index, [&](auto type, auto tag) {
    using T = decltype(type);
    using Index = decltype(tag);
    constexpr int V = beside<T, Index>;
    const bool one_line = dim == dx.rank() - 1;  // then its elements are read one by one
    const bool whole = whole_packs<V>({dx.dim(-1), one_line ? V : index.dim(-1)}, dx.ptr<T>(),
                                      one_line ? nullptr : pointer<T>(dy), one_line ? nullptr : pointer<Index>(index));
    const std::int64_t threads = whole ? n / V : n;
    launch(whole ? gather_backward_kernel<V, T, Index> : gather_backward_kernel<1, T, Index>,
           blocks_for(threads, threads_for(threads)), threads_for(threads), 0, stream(), pointer<T>(dy),
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
    const bool whole = whole_packs<V>({width}, table.ptr<T>(), y.ptr<T>());
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
    constexpr int V = Pack<T>::size;
    const bool whole = whole_packs<V>({width}, pointer<T>(x), pointer<T>(source), y.ptr<T>());
    const std::int64_t packs = whole ? width / V : width;
    const int threads = threads_for(packs);
    const std::int64_t pieces = blocks_for(packs, threads);
    launch(whole ? index_add_kernel<V, T, Index> : index_add_kernel<1, T, Index>, rows * pieces, threads, 0, stream(),
           pointer<T>(x), pointer<Index>(index), count, pointer<T>(source), rows, width, static_cast<unsigned>(pieces),
           y.ptr<T>(), report());
  });
}

}  // namespace folio::FOLIO_CUDA
