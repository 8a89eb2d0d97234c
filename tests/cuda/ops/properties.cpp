// Every property over every op on the device under test, each as a test of its own name: `CudaLayouts.matmul`. On the
// emulated GPU the order in which threads run and its seed are drawn with the op's inputs; what a failure prints replays
// it: FOLIO_DRAW=seed,size,order,order-seed. Each test asserts that the op's own kernels were launched.
#include <gtest/gtest.h>
// gtest first, or rapidcheck's part for it does not compile
#include <rapidcheck/gtest.h>

#include <cstdio>
#include <iostream>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <vector>

#include "tests/autograd/properties/counts.hpp"
#include "tests/autograd/properties/register.hpp"
#include "tests/cuda/ops/halves.hpp"
#include "tests/cuda/ops/under_test.hpp"

namespace folio::testing {
namespace {

/// The kernels, or the products by cuBLAS, that an op and its gradient cannot do without. Ops that only view need none of
/// their own.
const std::map<std::string, std::vector<std::string>> own_kernels = {
    {"add", {"Add"}},
    {"subtract", {"Subtract"}},
    {"multiply", {"Multiply"}},
    {"divide", {"Divide", "DivideBackward"}},
    {"scale", {"Scale"}},
    {"negate", {"Scale"}},
    {"power", {"map_kernel"}},
    {"exp", {"Exp"}},
    {"log", {"Log"}},
    {"sqrt", {"Sqrt", "SqrtBackward"}},
    {"rsqrt", {"Rsqrt", "RsqrtBackward"}},
    {"tanh", {"Tanh", "TanhBackward"}},
    {"sigmoid", {"Sigmoid", "SigmoidBackward"}},
    {"relu", {"Relu", "ReluMask"}},
    {"gelu", {"Gelu", "GeluBackward"}},
    {"silu", {"Silu", "SiluBackward"}},
    {"softplus", {"Softplus", "SoftplusBackward"}},
    {"clamp", {"Clamp", "ClampMask"}},
    {"where", {"Where"}},
    {"cast", {"Convert"}},
    {"dropout", {"dropout_kernel"}},
    {"sum", {"sum_"}},
    {"mean", {"sum_"}},
    {"max", {"extreme_of_", "gather_backward_kernel"}},
    {"min", {"extreme_of_", "gather_backward_kernel"}},
    {"top_k", {"top_k", "gather_backward_kernel"}},
    {"matmul", {"cublasGemm"}},
    {"linear", {"cublasGemm"}},
    {"expert_matmul", {"cublasGemm"}},
    {"choose_experts", {"choose_experts_kernel", "choose_experts_backward_kernel"}},
    {"dispatch_rows", {"dispatch_rows", "combine_rows_kernel"}},
    {"combine_rows", {"combine_rows_kernel", "combine_rows_backward_kernel"}},
    {"gather", {"gather_kernel", "gather_backward_kernel"}},
    {"index_add", {"index_add"}},
    {"embedding", {"embedding", "index_add_kernel"}},
    {"softmax", {"softmax_kernel", "softmax_backward_kernel"}},
    {"log_softmax", {"log_softmax_kernel", "log_softmax_backward_kernel"}},
    {"cross_entropy", {"cross_entropy_rows", "cross_entropy_backward_rows"}},
    {"rms_norm", {"rms_norm_kernel", "rms_norm_dx", "rms_norm_dw"}},
    {"rope", {"rope_kernel"}},
    {"swiglu", {"Swiglu", "swiglu_backward_kernel"}},
    {"causal_attention", {"attention_kernel", "attention_along", "attention_dq", "attention_dkv"}}};

/// Kernels of one thread for each element have as many in a block.
constexpr std::int64_t threads_of_a_block = 256;

const OpCase* current = nullptr;

/// The case's draw, with its inputs on the device.
Problem on_device(Draw& draw) {
  Problem problem = current->draw(draw);
  for (Tensor& x : problem.inputs) {
    if (x.defined()) x = x.to(under_test::device);
  }
  return problem;
}

struct Choice {
  std::uint64_t seed = 0;
  std::int64_t size = 5;
  int order = 0;
  std::uint64_t order_seed = 0;
};

std::optional<Choice> replayed() {
  const char* text = std::getenv("FOLIO_DRAW");
  if (text == nullptr) return {};
  Choice c;
  unsigned long long seed = 0, order_seed = 0;
  long long size = 5;
  std::sscanf(text, "%llu,%lld,%d,%llu", &seed, &size, &c.order, &order_seed);
  c.seed = seed, c.size = size, c.order_seed = order_seed;
  return c;
}

rc::detail::TestParams parameters(const Property& p) {
  rc::detail::TestParams params = rc::detail::configuration().testParams;
  const char* given = std::getenv("RC_PARAMS");
  if (given == nullptr || std::string(given).find("seed") == std::string::npos) params.seed = 1623;
  params.maxSuccess = std::max(8, static_cast<int>(params.maxSuccess * p.draws * under_test::share_of_draws));
  return params;
}

/// Mostly small: what matters here is the order of threads and the border of warps and blocks, so a few draws are large.
rc::Gen<std::int64_t> sizes() {
  return rc::gen::withSize([](int size) {
    const auto between = [](std::int64_t low, std::int64_t high) {
      return rc::gen::resize(rc::kNominalSize, rc::gen::inRange<std::int64_t>(low, high + 1));
    };
    if (size < 12) return rc::gen::just<std::int64_t>(0);
    if (size < 80) return between(1, 6);
    return between(12, 40);
  });
}

class PropertyOnDevice : public ::testing::Test {
 public:
  PropertyOnDevice(const Property& p, const OpCase& c) : property_(p), case_(c) {}

  void TestBody() override {
    under_test::reset_launch_counts();
    if (const auto choice = replayed()) {
      const Outcome o = attempt_one(*choice);
      EXPECT_TRUE(o.held) << o.message;
      return;
    }
    Counts counts(threads_of_a_block);
    std::set<int> orders;
    const auto tried = [&] {
      const auto any = [] {
        return *rc::gen::noShrink(rc::gen::resize(rc::kNominalSize, rc::gen::arbitrary<std::uint64_t>()));
      };
      const Choice choice = {any(), *sizes(), static_cast<int>(any() % under_test::orders), any()};
      const Outcome o = attempt_one(choice);
      counts.add(o);
      orders.insert(choice.order);
      RC_LOG() << o.message << "\nReplay: FOLIO_DRAW=" << choice.seed << ',' << choice.size << ',' << choice.order
               << ',' << choice.order_seed << " --gtest_filter=" << property_.name << '.' << case_.op << std::endl;
      RC_ASSERT(o.held);
    };
    const auto result = rc::detail::checkTestable(tried, rc::detail::TestMetadata{property_.name, property_.claim},
                                                  parameters(property_));
    report(counts);
    if (!result.is<rc::detail::SuccessResult>()) {
      std::ostringstream text;
      rc::detail::printResultMessage(result, text);
      FAIL() << text.str();
    }
    counts.judge(property_, case_);
    const int least_orders =
        counts.draws() < 60 ? std::min(under_test::orders, 3) : under_test::orders;  // so many miss none
    EXPECT_GE(static_cast<int>(orders.size()), least_orders) << "orders of threads";
    if (std::string(case_.op) == "to_device") return;  // copies between devices: no kernel is needed
    EXPECT_GT(launches_, 0) << "nothing was launched on the device";
    const auto own = own_kernels.find(case_.op);
    if (own == own_kernels.end()) return;
    for (const std::string& kernel : own->second) {
      EXPECT_TRUE(std::any_of(names_.begin(), names_.end(),
                              [&](const std::string& name) { return names_kernel(name, kernel); }))
          << "a kernel of the op's own was not launched: " << kernel;
    }
  }

 private:
  Outcome attempt_one(const Choice& choice) {
    under_test::set_order(choice.order, choice.order_seed);
    current = &case_;
    const OpCase there = {case_.op, &on_device};
    Outcome o = attempt(property_, there, choice.seed, std::min<std::int64_t>(choice.size, 40));
    under_test::set_order(0, 0);
    return o;
  }

  void report(const Counts& counts) {
    for (const auto& [name, count] : under_test::launch_counts()) {
      launches_ += count;
      names_.insert(name);
    }
    std::cout << case_.op << ": " << property_.claim << " on " << name_of(under_test::device) << ": " << counts << ", "
              << launches_ << " launches of " << names_.size() << " kernels\n";
  }

  const Property& property_;
  const OpCase& case_;
  std::int64_t launches_ = 0;
  std::set<std::string> names_;
};

[[maybe_unused]] const bool registered = [] {
  register_properties<PropertyOnDevice>();
  register_property<PropertyOnDevice>(property_halves());
  return true;
}();

}  // namespace
}  // namespace folio::testing
