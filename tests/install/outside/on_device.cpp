// A sum on the device whose backend this program links, or the line that says why there is none.
#include <folio/autograd/autograd.hpp>
#include <folio/cuda/backend.hpp>
#include <iostream>

int main() {
  try {
    folio::DEVICE::enable();
  } catch (const folio::Error& e) {
    std::cout << e.what() << '\n';
    return folio::Device::DEVICE == folio::Device::cuda ? 0 : 1;
  }
  const folio::Tensor x = folio::ones({2, 3}).to(folio::Device::DEVICE);
  return folio::sum(x * 2).item() == 12 ? 0 : 1;
}
