#pragma once
// Parameters with gradients of our choosing.
#include <string>
#include <vector>

#include "autograd/autograd.hpp"
#include "autograd/parameter.hpp"
#include "autograd/threads.hpp"
#include "tests/error_of.hpp"

namespace folio::optim {

inline Parameter parameter(std::string name, const Tensor& value, bool decays = true) {
  Tensor leaf = value.clone();
  leaf.requires_grad(true);
  return {std::move(name), leaf, decays};
}

/// Three parameters of odd sizes, one of them past several blocks of the kernels; the second does not decay.
inline Parameters some_parameters(DType dtype = DType::float32) {
  Generator generator(11);
  return {parameter("wide", randn({3, 7}, generator, {dtype})),
          parameter("norm", randn({5}, generator, {dtype}), false),
          parameter("long", randn({70'001}, generator, {dtype}))};
}

/// The same gradients for the same seed.
inline void set_gradients(Parameters& parameters, std::uint64_t seed) {
  Generator generator(1000 + seed);
  for (Parameter& p : parameters) p.value.set_grad(randn(p.value.shape(), generator, p.value.options()));
}

inline std::vector<std::vector<double>> values_of(const Parameters& parameters) {
  std::vector<std::vector<double>> all;
  for (const Parameter& p : parameters) all.push_back(p.value.to_vector());
  return all;
}

/// Another number of threads for a while.
class Threads {
 public:
  explicit Threads(int n) : before_(num_threads()) { set_num_threads(n); }
  ~Threads() { set_num_threads(before_); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

 private:
  int before_;
};

}  // namespace folio::optim
