#include <folio/autograd/autograd.hpp>
#include <iostream>

int main() {
  folio::Tensor x = folio::tensor({1, 2, 3}).requires_grad(true);  // (3)
  folio::Tape tape;
  tape.backward(folio::sum(x * x));
  std::cout << x.grad() << '\n';  // 2x
}
