// Gradient truth: no gradient is taken on trust, it is compared with finite differences of the function itself.
// You should see one function whose gradients agree to 8 digits, and one with a planted mistake of 0.05 %, which the
// checker names by op, input and element. (Of the directions in which it moves the inputs, the first that disagrees is
// enough, so that it made one comparison there.)
#include <iostream>

#include "autograd/autograd.hpp"

using namespace folio;

namespace {

// y = x³, with a derivative that is wrong on purpose: 3.0015·x².
Tensor wrong_cube(const Tensor& x) {
  return record({.op = OpName{"wrong_cube"},
                 .inputs = {x},
                 .outputs = {power(x.detach(), 3)},
                 .saved = {x},
                 .backward = [](const Entry& e, const Tensors& dy) -> Tensors {
                   return {dy[0] * e.saved(0) * e.saved(0) * 3.0015};
                 }});
}

}  // namespace

int main() {
  Generator random(7);
  const Tensors inputs = {randn({3, 4}, random, {DType::float64}), randn({4, 2}, random, {DType::float64})};

  const auto softmax_of_product = [](const Tensors& in) -> Tensors {
    const Tensor scores = exp(matmul(in[0], in[1]));     // (3, 2)
    return {scores / sum(scores, {-1}, /*keep=*/true)};  // (3, 2)
  };
  std::cout << "softmax of a product: " << gradcheck(softmax_of_product, inputs) << "\n\n";
  std::cout << "a wrong derivative:   "
            << gradcheck([](const Tensors& in) -> Tensors { return {wrong_cube(in[0])}; }, {inputs[0]}) << "\n";
}
