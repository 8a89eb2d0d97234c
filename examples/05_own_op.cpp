// An op of your own, outside the library: a forward, a backward, a name. The gradient checker serves it like any other.
// You should see y = x·tanh(softplus(x)) (mish; Misra 2019) and its proven gradient.
#include <iostream>

#include "autograd/autograd.hpp"

using namespace folio;

namespace {

constexpr OpName mish_op{"mish"};

// y = x·t, t = tanh(softplus(x))      dx = dy·(t + x·(1 − t²)·σ(x))
Tensor mish(const Tensor& x) {
  const Tensor in = x.detach();         // so that the forward is recorded as one op, not as three
  const Tensor t = tanh(softplus(in));  // like x
  return record({.op = mish_op,
                 .inputs = {x},
                 .outputs = {in * t},
                 .saved = {x, t},
                 .backward = [](const Entry& e, const Tensors& dy) -> Tensors {
                   const Tensor& v = e.saved(0);
                   const Tensor& th = e.saved(1);
                   return {dy[0] * (th + v * (1.0 - th * th) * sigmoid(v))};
                 }});
}

}  // namespace

int main() {
  std::cout << "mish of −2 … 2: " << mish(tensor({-2, -1, 0, 1, 2})) << "\n";
  Generator random(3);
  const Tensor x = randn({4, 5}, random, {DType::float64});
  std::cout << "checked: " << gradcheck([](const Tensors& in) -> Tensors { return {mish(in[0])}; }, {x}) << "\n";
}
