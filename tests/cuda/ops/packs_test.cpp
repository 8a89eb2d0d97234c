// Kernels that move 16 bytes at a time where rows allow it: rows of whole packs and others, at the beginning of their
// memory and an element behind it, give what the CPU gives, and each kernel was launched both ways.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>
#include <string>

#include "autograd/autograd.hpp"
#include "tests/cuda/ops/under_test.hpp"

namespace folio {
namespace {

using Op = std::function<Tensor(const Tensors&)>;

/// x on the device, `behind` elements behind the beginning of its memory.
Tensor placed(const Tensor& x, std::int64_t behind) {
  const Tensor memory = zeros({x.numel() + behind}, {x.dtype(), under_test::device});
  Tensor view = memory.slice(0, behind, memory.numel());
  view.copy_from(x.reshape({x.numel()}));
  return view.reshape(x.shape()).detach();
}

/// The result of f, and the gradients of its floats.
Tensors run(const Op& f, Tensors inputs, const std::function<Tensor(const Tensor&)>& place) {
  for (Tensor& x : inputs) {
    x = place(x);
    if (is_float(x.dtype())) x.requires_grad(true);
  }
  Tape tape;
  const Tensor y = f(inputs);
  Tensors all = {y.detach()};
  if (!y.requires_grad()) return all;
  Generator generator(3);
  tape.backward(y, place(uniform(y.shape(), generator, -1, 1).to(y.dtype())));
  for (const Tensor& x : inputs) {
    if (is_float(x.dtype())) all.push_back(x.grad());
  }
  return all;
}

void expect_near(const Tensors& there, const Tensors& here, const std::string& what) {
  for (std::size_t i = 0; i < here.size(); ++i) {
    const std::vector<double> a = there[i].to_vector(), b = here[i].to_vector();
    double largest = 1;
    for (double v : b) largest = std::max(largest, std::abs(v));
    const DType dtype = here[i].dtype();
    const double step = dtype == DType::float64   ? 1e-12
                        : dtype == DType::float32 ? 4e-6
                        : dtype == DType::float16 ? 0x1p-10
                                                  : 0x1p-7;
    for (std::size_t j = 0; j < b.size(); ++j) {
      ASSERT_NEAR(a[j], b[j], step * largest) << what << " in " << name_of(dtype) << ", result " << i << " of "
                                              << to_string(here[i].shape()) << " at " << j;
    }
  }
}

struct Case {
  std::string name;
  Op f;
  std::vector<Shape> floats, indices;
  double below;  ///< of the indices
};

std::vector<Case> cases(std::int64_t width) {
  const auto attend = [](const Tensors& x) { return causal_attention(x[0], x[1], x[2], x[3], 0.2, 3); };
  return {
      {"sum", [](const Tensors& x) { return sum(x[0], {1}); }, {{2, 70, width}}, {}, 0},
      {"mean",
       [](const Tensors& x) {
         return mean(x[0], {0, 2});
       },
       {{3, 9, width}},
       {},
       0},
      {"max", [](const Tensors& x) { return max(x[0], 0).first; }, {{5, width}}, {}, 0},
      {"gather", [](const Tensors& x) { return gather(x[0], 0, x[1]); }, {{6, width}}, {{4, width}}, 6},
      {"gather along rows", [](const Tensors& x) { return gather(x[0], 1, x[1]); }, {{6, width}}, {{6, width}}, 20},
      {"index_add",
       [](const Tensors& x) { return index_add(x[0], x[2], x[1]); },
       {{3, width}, {300, width}},
       {{300}},
       3},
      {"embedding", [](const Tensors& x) { return embedding(x[0], x[1]); }, {{7, width}}, {{40}}, 7},
      {"rms_norm", [](const Tensors& x) { return rms_norm(x[0], x[1]); }, {{300, width}, {width}}, {}, 0},
      {"rms_norm of wide rows",
       [](const Tensors& x) { return rms_norm(x[0], x[1]); },
       {{140, 8 * width}, {8 * width}},
       {},
       0},
      {"swiglu", [](const Tensors& x) { return swiglu(x[0], x[1]); }, {{5, width}, {5, width}}, {}, 0},
      {"combine_rows",
       [](const Tensors& x) { return combine_rows(dispatch_rows(x[0], route(x[2], 4)), x[1], route(x[2], 4)); },
       {{9, width}, {9, 2}},
       {{9, 2}},
       4},
      {"cross_entropy",
       [](const Tensors& x) { return cross_entropy(x[0], x[1], {.ignored = 3}); },
       {{9, width}},
       {{9}},
       5},
      {"to an index", [](const Tensors& x) { return scale(x[0].detach(), 9).to(DType::int32); }, {{3, width}}, {}, 0},
      {"causal_attention", attend, {{1, 38, 2, width + 8}, {1, 41, 2, width}, {1, 41, 2, width}, {1, 41, 8}}, {}, 0},
      {"causal_attention of wide heads",
       attend,
       {{1, 38, 2, 6 * width + 8}, {1, 41, 2, 6 * width}, {1, 41, 2, 4 * width}, {1, 41, 8}},
       {},
       0},
  };
}

TEST(CudaPacks, RowsThatAreWholePacksAndRowsThatAreNotGiveWhatTheCpuGives) {
  under_test::reset_launch_counts();
  for (const DType dtype : {DType::float64, DType::float32, DType::bfloat16, DType::float16}) {
    for (const std::int64_t width : {32, 33, 64}) {
      for (const Case& c : cases(width)) {
        Generator generator(5);
        Tensors inputs;
        for (const Shape& shape : c.floats) inputs.push_back(uniform(shape, generator, -1, 1).to(dtype));
        for (const Shape& shape : c.indices) {
          inputs.push_back(uniform(shape, generator, 0, c.below).to(DType::int32));
        }
        const Tensors here = run(c.f, inputs, [](const Tensor& x) { return x.clone(); });
        for (const std::int64_t behind : {0, 1}) {
          expect_near(run(c.f, inputs, [&](const Tensor& x) { return placed(x, behind); }), here,
                      c.name + " of " + std::to_string(width) + " columns, " + std::to_string(behind) + " behind");
          if (HasFatalFailure()) return;
        }
      }
    }
  }
  const auto launches = under_test::launch_counts();
  std::set<std::string> single, packed;
  for (const auto& [name, count] : launches) {
    (name.find("<1, ") != std::string::npos ? single : packed).insert(name.substr(0, name.find('<')));
  }
  for (const char* kernel : {"sum_columns_kernel", "extreme_of_columns", "gather_kernel", "gather_backward_kernel",
                             "index_add_kernel", "embedding_kernel", "rms_norm_dw", "swiglu_backward_kernel",
                             "dispatch_rows_kernel", "combine_rows_kernel", "convert_to_index", "map_kernel"}) {
    EXPECT_TRUE(single.contains(kernel)) << kernel;
    EXPECT_TRUE(packed.contains(kernel)) << kernel;
  }
  for (const std::string kernel : {"attention_kernel<", "attention_dq<", "attention_dkv<"}) {
    const auto instances =
        std::ranges::count_if(launches, [&](const auto& each) { return each.first.starts_with(kernel); });
    EXPECT_EQ(instances, 8) << kernel << ": of each dtype one row a warp, and several";
  }
}

TEST(CudaPacks, SumsReadSixteenBitsAsTheyAre) {
  for (const DType dtype : {DType::bfloat16, DType::float16}) {
    const Tensor x = ones({3, 70, 40}, {dtype, under_test::device});
    for (const Dims& dims : {Dims{}, Dims{1}, Dims{-1}, Dims{0, 2}}) {
      under_test::reset_launch_counts();
      EXPECT_EQ(sum(x, dims).dtype(), dtype);
      for (const auto& [name, count] : under_test::launch_counts()) EXPECT_TRUE(name.starts_with("sum_")) << name;
    }
  }
}

}  // namespace
}  // namespace folio
