// Ops that choose: relu, clamp, where and the masks that their backward reads, which cost 4 bytes per element, move what
// cuda/map.hpp says. Dropout draws its mask in both directions, in the pass that applies it.
#include "cuda/map.hpp"

namespace folio::FOLIO_CUDA {
namespace {

struct Relu {
  template <typename T>
  __device__ T operator()(T x) const {
    return x < T{0} ? T{0} : x;
  }
};
struct ReluMask {
  template <typename T>
  __device__ std::int32_t operator()(T x) const {
    return !(x <= T{0});
  }
};
struct Clamp {
  double low, high;
  template <typename T>
  __device__ T operator()(T x) const {
    const T least = static_cast<T>(low), most = static_cast<T>(high);
    return x < least ? least : x > most ? most : x;
  }
};
struct ClampMask {
  double low, high;
  template <typename T>
  __device__ std::int32_t operator()(T x) const {
    return !(x < static_cast<T>(low) || x > static_cast<T>(high));
  }
};
struct Where {
  template <typename C, typename T>
  __device__ T operator()(C condition, T a, T b) const {
    return condition != C{0} ? a : b;
  }
};
struct ApplyMask {
  double factor;
  bool kept;
  template <typename M, typename T>
  __device__ T operator()(M mask, T x) const {
    return (mask != M{0}) == kept ? static_cast<T>(factor) * x : T{0};
  }
};

/// Philox4x32-10 (Salmon et al. 2011): the words of block `index`, as RandomStream::block gives them.
struct Words {
  std::uint32_t word[4];
};
__device__ Words philox(RandomStream stream, std::uint64_t index) {
  std::uint32_t c0 = static_cast<std::uint32_t>(index), c1 = static_cast<std::uint32_t>(index >> 32);
  std::uint32_t c2 = static_cast<std::uint32_t>(stream.stream), c3 = static_cast<std::uint32_t>(stream.stream >> 32);
  std::uint32_t k0 = static_cast<std::uint32_t>(stream.key), k1 = static_cast<std::uint32_t>(stream.key >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint32_t high0 = __umulhi(0xD2511F53u, c0), low0 = 0xD2511F53u * c0;
    const std::uint32_t high1 = __umulhi(0xCD9E8D57u, c2), low1 = 0xCD9E8D57u * c2;
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

/// One thread per block of four words: reads x and writes y, packed, once. Some 100 integer instructions for 16 bytes of
/// float32 stay below the memory's time.
template <int V, typename T>
__global__ void __launch_bounds__(block_threads)
    dropout_kernel(RandomStream random, std::uint32_t threshold, Accumulator<T> factor, const T* x, T* y,
                   std::int64_t n) {
  const std::int64_t block = thread_index(), first = 4 * block;
  if (first >= n) return;
  const Words words = philox(random, static_cast<std::uint64_t>(block));
  const auto kept = [&](int j, T value) {
    return narrow<T>(words.word[j] >= threshold ? factor * wide(value) : Accumulator<T>{0});
  };
  if (V > 1 && first + 4 <= n) {
    for (int j = 0; j < 4; j += V) {
      Pack<T, V> pack = load_pack<T, V>(x + first + j);
      for (int i = 0; i < V; ++i) pack[i] = kept(j + i, pack[i]);
      store_pack(y + first + j, pack);
    }
  } else {
    for (int j = 0; j < 4 && first + j < n; ++j) y[first + j] = kept(j, x[first + j]);
  }
}

}  // namespace

void entry::relu(const Tensor& x, Tensor& y) { map_floats(Relu{}, y, x); }
void entry::relu_mask(const Tensor& x, Tensor& mask) {
  visit_stored(x.dtype(), [&](auto tag) { map<std::int32_t>(ReluMask{}, mask, Typed<decltype(tag)>{x}); });
}
void entry::clamp(const Tensor& x, double low, double high, Tensor& y) { map_floats(Clamp{low, high}, y, x); }
void entry::clamp_mask(const Tensor& x, double low, double high, Tensor& mask) {
  visit_stored(x.dtype(), [&](auto tag) { map<std::int32_t>(ClampMask{low, high}, mask, Typed<decltype(tag)>{x}); });
}

void entry::where(const Tensor& condition, const Tensor& a, const Tensor& b, Tensor& y) {
  visit_stored(y.dtype(), [&](auto type) {
    visit_index(condition.dtype(), [&](auto tag) {
      using T = decltype(type);
      map<T>(Where{}, y, Typed<decltype(tag)>{condition}, Typed<T>{a}, Typed<T>{b});
    });
  });
}

void entry::apply_mask(const Tensor& mask, bool kept, double factor, const Tensor& x, Tensor& y) {
  visit_stored(y.dtype(), [&](auto type) {
    visit_index(mask.dtype(), [&](auto tag) {
      using T = decltype(type);
      map<T>(ApplyMask{factor, kept}, y, Typed<decltype(tag)>{mask}, Typed<T>{x});
    });
  });
}

void entry::dropout(RandomStream random, double p, const Tensor& x, Tensor& y) {
  visit_stored(y.dtype(), [&](auto tag) {
    using T = decltype(tag);
    constexpr int V = std::min(4, Pack<T>::size);
    const bool whole = whole_packs<V>({}, x.ptr<T>(), y.ptr<T>());
    const std::int64_t n = y.numel(), blocks = blocks_for(n, 4);
    launch(whole ? dropout_kernel<V, T> : dropout_kernel<1, T>, blocks_for(blocks, threads_for(blocks)),
           threads_for(blocks), 0, stream(), random, static_cast<std::uint32_t>(p * 0x1p32),
           static_cast<Accumulator<T>>(1 / (1 - p)), x.ptr<T>(), y.ptr<T>(), n);
  });
}

}  // namespace folio::FOLIO_CUDA
