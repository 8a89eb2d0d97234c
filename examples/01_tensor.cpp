// Tensors: values in memory, and views that look at the same memory in another way.
// You should see the transpose print x's numbers without a copy of them: filling a slice of x changes x and its transpose.
#include <iostream>

#include "autograd/autograd.hpp"

using namespace folio;

int main() {
  Tensor x = arange(6, {DType::float32}).reshape({2, 3});  // (2, 3)
  std::cout << "x =\n" << x << "\n\n";

  const Tensor t = x.transpose(0, 1);  // (3, 2), a view
  std::cout << "x transposed, strides " << to_string(t.strides()) << " instead of " << to_string(x.strides()) << ":\n"
            << t << "\n\n";

  Tensor column = x.slice(1, 1, 2);  // (2, 1), a view
  column.fill(10);
  std::cout << "x after filling its middle column through a slice:\n" << x << "\n\n";
  std::cout << "and the transpose, which looks at the same memory:\n" << t << "\n\n";

  const Tensor row = tensor({100, 200, 300});  // (3)
  std::cout << "x + a row, broadcast over both rows:\n" << x + row << "\n\n";
  std::cout << "x times its transpose:\n" << matmul(x, t) << "\n\n";

  try {
    matmul(x, x);
  } catch (const Error& error) {
    std::cout << "and a mistake is one line:\n" << error.what() << "\n";
  }
}
