// y = f(a, b) with broadcasting, and what is made of one tensor and numbers. Moves what cuda/map.hpp says.
#include "cuda/map.hpp"

namespace folio::FOLIO_CUDA {
namespace {

struct Add {
  template <typename T>
  __device__ T operator()(T a, T b) const {
    return a + b;
  }
};
struct Subtract {
  template <typename T>
  __device__ T operator()(T a, T b) const {
    return a - b;
  }
};
struct Multiply {
  template <typename T>
  __device__ T operator()(T a, T b) const {
    return a * b;
  }
};
struct Divide {
  template <typename T>
  __device__ T operator()(T a, T b) const {
    return a / b;
  }
};
struct DivideBackward {
  template <typename T>
  __device__ T operator()(T dy, T y, T b) const {
    return -dy * y / b;
  }
};
struct Scale {
  double factor, shift;
  template <typename T>
  __device__ T operator()(T x) const {
    return static_cast<T>(factor) * x + static_cast<T>(shift);
  }
};
struct Inverse {
  template <typename T>
  __device__ T operator()(T x) const {
    return T{1} / x;
  }
};
struct One {
  template <typename T>
  __device__ T operator()(T x) const {
    return isnan(x) ? x : T{1};
  }
};
struct Same {
  template <typename T>
  __device__ T operator()(T x) const {
    return x;
  }
};
struct Square {
  template <typename T>
  __device__ T operator()(T x) const {
    return x * x;
  }
};
struct Cube {
  template <typename T>
  __device__ T operator()(T x) const {
    return x * x * x;
  }
};
struct Power {
  double exponent;
  template <typename T>
  __device__ T operator()(T x) const {
    return pow(x, static_cast<T>(exponent));
  }
};
template <typename Out>
struct Constant {
  Out value;
  __device__ Out operator()() const { return value; }
};
struct Convert {
  template <typename T>
  __device__ T operator()(T x) const {
    return x;
  }
};

template <typename Index>
constexpr Index lowest = std::numeric_limits<Index>::min();
template <typename Index>
constexpr Index highest = std::numeric_limits<Index>::max();

/// Whether x is a number of the index type To: folio::fits for the device.
template <typename To, typename From>
__device__ bool is_index(From x) {
  if constexpr (std::is_floating_point_v<From>) {
    return x >= static_cast<From>(lowest<To>) && x < -static_cast<From>(lowest<To>);
  } else {
    return x >= lowest<To> && x <= highest<To>;
  }
}

/// Values as indices, one thread per pack of V; one that is none becomes 0 and is complained about. Reads and writes
/// n·(sizeof(From) + sizeof(To)) bytes.
template <int V, typename To, typename From>
__global__ void __launch_bounds__(block_threads) convert_to_index(const From* x, std::int64_t n, To* y, Report bad) {
  const std::int64_t i = thread_index() * V;
  if (i >= n) return;
  const Pack<From, V> values = load_pack<From, V>(x + i);
  Pack<To, V> indices;
  for (int j = 0; j < V; ++j) {
    const auto value = wide(values[j]);
    const bool good = is_index<To>(value);
    indices[j] = good ? static_cast<To>(value) : To{0};
    if (!good) complain(bad, Finder::cast, i + j);
  }
  store_pack(y + i, indices);
}

}  // namespace

void entry::add(const Tensor& a, const Tensor& b, Tensor& y) { map_floats(Add{}, y, a, b); }
void entry::subtract(const Tensor& a, const Tensor& b, Tensor& y) { map_floats(Subtract{}, y, a, b); }
void entry::multiply(const Tensor& a, const Tensor& b, Tensor& y) { map_floats(Multiply{}, y, a, b); }
void entry::divide(const Tensor& a, const Tensor& b, Tensor& y) { map_floats(Divide{}, y, a, b); }
void entry::divide_backward(const Tensor& dy, const Tensor& y, const Tensor& b, Tensor& db) {
  map_floats(DivideBackward{}, db, dy, y, b);
}
void entry::scale(const Tensor& x, double factor, double shift, Tensor& y) { map_floats(Scale{factor, shift}, y, x); }

void entry::power(const Tensor& x, double exponent, Tensor& y) {
  if (exponent == -1) return map_floats(Inverse{}, y, x);
  if (exponent == 0) return map_floats(One{}, y, x);
  if (exponent == 1) return map_floats(Same{}, y, x);
  if (exponent == 2) return map_floats(Square{}, y, x);
  if (exponent == 3) return map_floats(Cube{}, y, x);
  map_floats(Power{exponent}, y, x);
}

/// Bits are copied, whatever they mean.
void entry::copy(const Tensor& x, Tensor& y) {
  visit_bits(y.dtype(), [&](auto tag) { map<decltype(tag)>(Same{}, y, Typed<decltype(tag)>{x}); });
}

/// Calls `f(T{})` with the type in which kernels read and write any dtype.
template <typename F>
static void visit_element(DType dtype, F&& f) {
  if (is_float(dtype)) return visit_stored(dtype, f);
  visit_index(dtype, f);
}

void entry::fill(double value, Tensor& y) {
  visit_element(y.dtype(), [&](auto tag) {
    using T = decltype(tag);
    map<T>(Constant<T>{narrow<T>(value)}, y);
  });
}

void entry::convert(const Tensor& x, Tensor& y) {
  visit_element(x.dtype(), [&](auto from) {
    visit_element(y.dtype(), [&](auto to) {
      using From = decltype(from);
      using To = decltype(to);
      if constexpr (std::is_integral_v<To>) {
        const std::int64_t n = y.numel();
        if (n == 0) return;
        constexpr int V = static_cast<int>(16 / std::max(sizeof(To), sizeof(From)));
        const bool whole = whole_packs<V>({n}, x.ptr<From>(), y.ptr<To>());
        const std::int64_t threads = whole ? n / V : n;
        launch(whole ? convert_to_index<V, To, From> : convert_to_index<1, To, From>,
               blocks_for(threads, threads_for(threads)), threads_for(threads), 0, stream(), x.ptr<From>(), n,
               y.ptr<To>(), report());
      } else {
        map<To>(Convert{}, y, Typed<From>{x});
      }
    });
  });
}

}  // namespace folio::FOLIO_CUDA
