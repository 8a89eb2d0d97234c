// y = f(x) and dx = dy·f′, one element at a time. Moves what cuda/map.hpp says, 2 elements forward and 3 backward; the
// functions themselves stay below that on any GPU in float32.
#include "cuda/map.hpp"

namespace folio::FOLIO_CUDA {
namespace {

template <typename T>
__device__ T sigmoid_of(T x) {
  return T{1} / (T{1} + exp(-x));
}
/// Φ(x), the normal distribution function.
template <typename T>
__device__ T normal_cdf(T x) {
  return T{0.5} * (T{1} + erf(x * static_cast<T>(0.70710678118654752440)));
}

struct Exp {
  template <typename T>
  __device__ T operator()(T x) const {
    return exp(x);
  }
};
struct Log {
  template <typename T>
  __device__ T operator()(T x) const {
    return log(x);
  }
};
struct Sqrt {
  template <typename T>
  __device__ T operator()(T x) const {
    return sqrt(x);
  }
};
struct SqrtBackward {
  template <typename T>
  __device__ T operator()(T dy, T y) const {
    return dy / (T{2} * y);
  }
};
struct Rsqrt {
  template <typename T>
  __device__ T operator()(T x) const {
    return rsqrt(x);
  }
};
struct RsqrtBackward {
  template <typename T>
  __device__ T operator()(T dy, T y) const {
    return dy * y * y * y * T{-0.5};
  }
};
struct Tanh {
  template <typename T>
  __device__ T operator()(T x) const {
    return tanh(x);
  }
};
struct TanhBackward {
  template <typename T>
  __device__ T operator()(T dy, T y) const {
    return dy * (T{1} - y * y);
  }
};
struct Sigmoid {
  template <typename T>
  __device__ T operator()(T x) const {
    return sigmoid_of(x);
  }
};
struct SigmoidBackward {
  template <typename T>
  __device__ T operator()(T dy, T y) const {
    return dy * y * (T{1} - y);
  }
};
struct Gelu {
  template <typename T>
  __device__ T operator()(T x) const {
    return x * normal_cdf(x);
  }
};
struct GeluBackward {
  template <typename T>
  __device__ T operator()(T dy, T x) const {
    const T density = static_cast<T>(0.39894228040143267794) * exp(T{-0.5} * x * x);
    return dy * (normal_cdf(x) + x * density);
  }
};
struct Silu {
  template <typename T>
  __device__ T operator()(T x) const {
    return x / (T{1} + exp(-x));
  }
};
struct SiluBackward {
  template <typename T>
  __device__ T operator()(T dy, T x) const {
    const T sigma = sigmoid_of(x);
    return dy * sigma * (T{1} + x * (T{1} - sigma));
  }
};
struct Softplus {
  template <typename T>
  __device__ T operator()(T x) const {
    return fmax(x, T{0}) + log1p(exp(-fabs(x)));
  }
};
struct SoftplusBackward {
  template <typename T>
  __device__ T operator()(T dy, T x) const {
    return dy / (T{1} + exp(-x));
  }
};
struct Swiglu {
  template <typename T>
  __device__ T operator()(T gate, T up) const {
    return gate / (T{1} + exp(-gate)) * up;
  }
};

}  // namespace

void entry::exp(const Tensor& x, Tensor& y) { map_floats(Exp{}, y, x); }
void entry::log(const Tensor& x, Tensor& y) { map_floats(Log{}, y, x); }
void entry::sqrt(const Tensor& x, Tensor& y) { map_floats(Sqrt{}, y, x); }
void entry::sqrt_backward(const Tensor& dy, const Tensor& y, Tensor& dx) { map_floats(SqrtBackward{}, dx, dy, y); }
void entry::rsqrt(const Tensor& x, Tensor& y) { map_floats(Rsqrt{}, y, x); }
void entry::rsqrt_backward(const Tensor& dy, const Tensor& y, Tensor& dx) { map_floats(RsqrtBackward{}, dx, dy, y); }
void entry::tanh(const Tensor& x, Tensor& y) { map_floats(Tanh{}, y, x); }
void entry::tanh_backward(const Tensor& dy, const Tensor& y, Tensor& dx) { map_floats(TanhBackward{}, dx, dy, y); }
void entry::sigmoid(const Tensor& x, Tensor& y) { map_floats(Sigmoid{}, y, x); }
void entry::sigmoid_backward(const Tensor& dy, const Tensor& y, Tensor& dx) {
  map_floats(SigmoidBackward{}, dx, dy, y);
}
void entry::gelu(const Tensor& x, Tensor& y) { map_floats(Gelu{}, y, x); }
void entry::gelu_backward(const Tensor& dy, const Tensor& x, Tensor& dx) { map_floats(GeluBackward{}, dx, dy, x); }
void entry::silu(const Tensor& x, Tensor& y) { map_floats(Silu{}, y, x); }
void entry::silu_backward(const Tensor& dy, const Tensor& x, Tensor& dx) { map_floats(SiluBackward{}, dx, dy, x); }
void entry::softplus(const Tensor& x, Tensor& y) { map_floats(Softplus{}, y, x); }
void entry::softplus_backward(const Tensor& dy, const Tensor& x, Tensor& dx) {
  map_floats(SoftplusBackward{}, dx, dy, x);
}
void entry::swiglu(const Tensor& gate, const Tensor& up, Tensor& y) { map_floats(Swiglu{}, y, gate, up); }

}  // namespace folio::FOLIO_CUDA
