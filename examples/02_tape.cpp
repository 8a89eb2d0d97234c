// The tape: what runs while a Tape is in scope is recorded, and walked backwards for the gradient.
// You should see the recorded expression y = Σ x²·e^(−x) as Graphviz source (paste it into `dot -Tsvg`), and its gradient
// (2x − x²)·e^(−x) twice, the same from the tape and from the formula.
#include <iostream>

#include "autograd/autograd.hpp"

using namespace folio;

int main() {
  Tensor x = tensor({0.5, 1, 2}, {DType::float64});  // (3)
  x.requires_grad(true);

  Tape tape;
  const Tensor y = sum(x * x * exp(-x));  // ()
  std::cout << "y = " << y << "\n";
  std::cout << "recorded " << tape.entries().size() << " ops, which saved " << tape.saved_bytes() << " bytes\n\n";
  std::cout << to_dot(tape) << "\n";

  tape.backward(y);             // fills x.grad() and empties the tape
  const Tensor v = x.detach();  // x's numbers, of which nothing more is recorded
  std::cout << "from the tape    " << x.grad() << "\n";
  std::cout << "from the formula " << (2 * v - v * v) * exp(-v) << "\n";
  std::cout << "ops left on the tape: " << tape.entries().size() << "\n";
}
