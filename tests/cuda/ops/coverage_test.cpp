// Every kernel that the budget file names is launched here, in whatever program this is linked into: what no test
// launches, no order of threads and no watch for races has seen. The file names all, or CudaKernelBudgets fails.
#include <algorithm>
#include <fstream>
#include <sstream>

#include "optim/adamw.hpp"
#include "optim/clip.hpp"
#include "optim/ema.hpp"
#include "optim/sgd.hpp"
#include "tests/autograd/op_case.hpp"
#include "tests/autograd/properties/compare.hpp"
#include "tests/cuda/ops/draws.hpp"

namespace folio {
namespace {

/// Forward and back, some draws of every op.
void run_ops() {
  for (const testing::OpCase& c : testing::all_cases()) {
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
      testing::Draw draw(seed, static_cast<std::int64_t>(seed % 5) + 2);
      const testing::Problem p = c.draw(draw);
      Tensors x;
      for (const Tensor& each : p.inputs) x.push_back(each.defined() ? each.to(gpu) : each);
      testing::vjp(p.f, x, testing::random_cotangents(testing::evaluate(p.f, x), draw));
    }
  }
}

/// What no op records, and exponents that are seldom drawn.
void run_the_rest() {
  Generator generator(1);
  const Parameters parameters = {{"p", randn({3, 70}, generator, {DType::float32, gpu}).requires_grad(true), true}};
  Tensor p = parameters[0].value;
  const auto update_by = [&](auto&& optimizer) {
    p.set_grad(randn({3, 70}, generator, {DType::float32, gpu}));
    optimizer.step(optim::clip_by_global_norm(parameters, 1));
  };
  update_by(optim::AdamW(parameters));
  update_by(optim::SGD(parameters));
  optim::EMA(parameters, 0.9).update();
  for (const double exponent : {-1, 0}) power(p.detach(), exponent);
  route(uniform({30, 2}, generator, 0, 4).to(gpu).to(DType::int32), 4);
}

/// "map_kernel:Gelu" → "Gelu": an element-wise kernel goes by its formula.
std::vector<std::string> budgeted() {
  std::vector<std::string> kernels;
  std::ifstream lines(FOLIO_KERNEL_BUDGETS);
  for (std::string line; std::getline(lines, line);) {
    std::string kernel;
    if (std::istringstream(line) >> kernel && kernel[0] != '#') kernels.push_back(kernel.substr(kernel.find(':') + 1));
  }
  return kernels;
}

TEST(CudaKernels, AreAllLaunchedByTests) {
  under_test::reset_launch_counts();
  run_ops();
  run_the_rest();
  const auto launched = under_test::launch_counts();
  const auto kernels = budgeted();
  ASSERT_GT(kernels.size(), 70U) << FOLIO_KERNEL_BUDGETS;
  for (const std::string& kernel : kernels) {
    EXPECT_TRUE(
        std::any_of(launched.begin(), launched.end(), [&](const auto& one) { return names_kernel(one.first, kernel); }))
        << kernel << " was not launched: give a case of its op draws that need it";
  }
}

}  // namespace
}  // namespace folio
