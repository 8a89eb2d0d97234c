// What the properties of the ops do not reach: kernels that no op records, indices out of range, and tensors and modules
// that change places.
#include <algorithm>
#include <array>
#include <numeric>
#include <set>

#include "autograd/autograd.hpp"
#include "autograd/backend.hpp"
#include "autograd/kernels.hpp"
#include "autograd/settings.hpp"
#include "nn/nn.hpp"
#include "tests/cuda/ops/draws.hpp"

namespace folio {
namespace {

constexpr DType halves[] = {DType::bfloat16, DType::float16};

/// Whole numbers over 16 below `most`/16.
Tensor sixteenths(const Shape& shape, Generator& generator, double most) {
  return scale(uniform(shape, generator, -most, most).to(DType::int32).to(DType::float32), 1.0 / 16);
}

FOLIO_PROPERTY(CudaKernels, DropoutDrawsTheSameMask) {
  draw_order(seed);
  Generator generator(seed);
  const Tensor x = ones({draw_between(0, 5), draw_between(0, 150)});
  const RandomStream stream = generator.next_stream();
  const std::vector<double> mask = dropout(x, 0.3, stream).to_vector();
  shares.note("of several blocks", x.numel() > threads_of_a_block, 20);
  shares.note("with elements dropped and kept", std::set(mask.begin(), mask.end()).size() > 1, 60);
  RC_ASSERT(dropout(x.to(gpu), 0.3, stream).to_vector() == mask);
}

FOLIO_PROPERTY(CudaKernels, EveryConversionIsTheSame) {
  draw_order(seed);
  Generator generator(seed);
  const auto any = [] {
    return *rc::gen::element(DType::float32, DType::float64, DType::int32, DType::int64, DType::bfloat16,
                             DType::float16);
  };
  const DType from = any(), to = any();
  const Tensor x = uniform({draw_between(0, 3), draw_between(0, 70)}, generator, -9, 9, {DType::float64}).to(from);
  shares.note("of several warps", x.numel() > 32, 40);
  shares.note("from one type to another", from != to, 60);
  shares.note("from floats to indices", is_float(from) && !is_float(to), 10);
  RC_ASSERT(x.to(gpu).to(to).to_vector() == x.to(to).to_vector());
  const double value = is_float(to) ? -3.14159265 : -3;
  RC_ASSERT(full(x.shape(), value, {to, gpu}).to_vector() == full(x.shape(), value, {to}).to_vector());
}

/// Every 16-bit pattern to float32 and float64, and back from the middle between each and the next, and from both sides of
/// it, which float32 does not tell apart.
TEST(CudaKernels, EverySixteenBitPatternConvertsAsOnTheCpu) {
  for (const DType dtype : halves) {
    Tensor x = empty({1 << 16}, {dtype});
    auto* bits = reinterpret_cast<std::uint16_t*>(x.storage()->data());
    std::iota(bits, bits + x.numel(), 0);
    const auto same = [](const Tensor& there, const Tensor& here) {
      const std::vector<double> a = there.to_vector(), b = here.to_vector();
      for (std::size_t i = 0; i < a.size() && !::testing::Test::HasFailure(); ++i) {
        const bool alike = a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i]));
        EXPECT_TRUE(alike) << i << ": " << a[i] << " against " << b[i];
      }
    };
    for (const DType wide : {DType::float32, DType::float64}) same(x.to(gpu).to(wide), x.to(wide));
    const Tensor doubled = x.to(DType::float64);
    const Tensor middle = scale(doubled.slice(0, 0, 0xffff) + doubled.slice(0, 1, 0x10000), 0.5);
    for (const double side : {1.0, 1 - 0x1p-40, 1 + 0x1p-40}) {
      const Tensor between = scale(middle, side);
      same(between.to(gpu).to(dtype), between.to(dtype));
      same(between.to(DType::float32).to(gpu).to(dtype), between.to(DType::float32).to(dtype));
    }
  }
}

/// What mixed precision asks of a device: float32 weights beside 16-bit activations, their gradients in float32. Whole
/// numbers over 16, so that every sum is exact in float32 and any order gives the CPU's bits.
TEST(CudaKernels, MixedProductsAreTheSame) {
  Generator generator(5);
  const auto draw = [&](const Shape& shape, double most) { return sixteenths(shape, generator, most); };
  const Tensor offsets = from_indices(std::vector<std::int32_t>{0, 8, 8, 13, 40}, {5});
  using Op = std::function<Tensor(const Tensor& x, const Tensor& weight)>;
  const auto check = [&](const Op& op, const Tensor& x, const Tensor& weight, const Tensor& dy) {
    std::vector<std::vector<double>> results[2];
    for (const Device device : {Device::cpu, gpu}) {
      Tensor a = x.to(device), w = weight.to(device);
      a.requires_grad(true), w.requires_grad(true);
      Tape tape;
      const Tensor y = op(a, w);
      tape.backward(y, dy.to(device));
      EXPECT_EQ(y.dtype(), x.dtype());
      EXPECT_EQ(w.grad().dtype(), weight.dtype());
      for (const Tensor& each : {y, a.grad(), w.grad()}) results[device == gpu].push_back(each.to_vector());
    }
    EXPECT_EQ(results[1], results[0]);
  };
  for (const DType dtype : halves) {
    for (const DType weights : {dtype, DType::float32}) {
      for (const std::int64_t in : {24, 7}) {
        check(linear, draw({3, 5, in}, 64).to(dtype), draw({9, in}, 4000).to(weights), draw({3, 5, 9}, 64).to(dtype));
        check([&](const Tensor& x, const Tensor& w) { return expert_matmul(x, w, offsets.to(x.device())); },
              draw({40, in}, 64).to(dtype), draw({4, 16, in}, 4000).to(weights), draw({40, 16}, 64).to(dtype));
      }
    }
  }
}

/// Products of experts go in one call where cuBLAS takes them together, and one by one where it does not.
TEST(CudaKernels, ExpertsShareOneCallWhereTheyCan) {
  const auto calls = [&](DType dtype, DType weights, std::int64_t in) {
    const Options there{dtype, gpu};
    Tensor x = ones({24, in}, there).requires_grad(true), w = ones({4, 16, in}, {weights, gpu}).requires_grad(true);
    const Tensor offsets = from_indices(std::vector<std::int32_t>{0, 5, 5, 9, 24}, {5}).to(gpu);
    Tape tape;
    under_test::reset_launch_counts();
    tape.backward(expert_matmul(x, w, offsets), ones({24, 16}, there));
    const auto counts = under_test::launch_counts();
    const auto of = [&](const std::string& name) { return counts.contains(name) ? counts.at(name) : 0; };
    return std::pair(of("cublasGemmGroupedBatchedEx"), of("cublasGemmStridedBatchedEx"));
  };
  using Calls = std::pair<std::int64_t, std::int64_t>;
  EXPECT_EQ(calls(DType::float32, DType::float32, 7), Calls(3, 0));
  EXPECT_EQ(calls(DType::bfloat16, DType::bfloat16, 8), Calls(3, 0));
  EXPECT_EQ(calls(DType::bfloat16, DType::float32, 8), Calls(2, 3)) << "the weights' gradient is float32";
  EXPECT_EQ(calls(DType::float16, DType::float16, 7), Calls(0, 9)) << "addresses that tensor cores cannot read";
  set_tf32(true);
  EXPECT_EQ(calls(DType::float32, DType::float32, 7), Calls(0, 9));
  EXPECT_EQ(calls(DType::float32, DType::float32, 8), Calls(3, 0));
  set_tf32(false);
}

FOLIO_PROPERTY(CudaKernels, RoutesTheSameWay) {
  draw_order(seed);
  Generator generator(seed);
  const int experts = draw_between(1, 40), tokens = draw_between(0, *rc::gen::element(40, 400, 400)),
            k = draw_between(1, 3);
  const Tensor chosen = uniform({tokens, k}, generator, 0, experts).to(DType::int32);
  const Routing a = route(chosen, experts), b = route(chosen.to(gpu), experts);
  const std::vector<double> offsets = a.offsets.to_vector();
  shares.note("of several blocks", tokens * k > threads_of_a_block, 30);
  shares.note("of several experts", experts > 1 && tokens > 0, 70);
  shares.note("with idle experts", std::adjacent_find(offsets.begin(), offsets.end()) != offsets.end(), 20);
  RC_ASSERT(offsets == b.offsets.to_vector());
  RC_ASSERT(a.token_of_row.to_vector() == b.token_of_row.to_vector());
  RC_ASSERT(a.row_of.to_vector() == b.row_of.to_vector());
}

/// 1 + 2^-11 needs 11 bits of fraction: TensorFloat-32 rounds it to 1. (cuBLAS may leave tensor cores alone where a matrix
/// is smaller than what they take at once.)
TEST(CudaKernels, TensorFloat32RoundsTheFactorsOfFloat32WhereItIsAllowed) {
  constexpr int n = 64;
  const double fine = 1 + 0x1p-11;
  const auto products = [&](DType dtype) {
    const Options there{dtype, gpu};
    const Tensor x = full({n, n}, fine, there), w = ones({1, n, n}, there);
    const Tensor offsets = from_indices(std::vector<std::int32_t>{0, n}, {2}).to(gpu);
    std::vector<double> all = matmul(x, ones({n, n}, there)).to_vector();
    for (double y : expert_matmul(x, w, offsets).to_vector()) all.push_back(y);
    return all;
  };
  const std::vector<double> exact(2 * n * n, n * fine), rounded(2 * n * n, n);
  EXPECT_FALSE(tf32());
  EXPECT_EQ(products(DType::float32), exact);
  set_tf32(true);
  EXPECT_EQ(products(DType::float32), rounded);
  EXPECT_EQ(products(DType::float64), exact);
  set_tf32(false);
}

/// Rows and columns beyond one warp, one block and one part of a sum.
TEST(CudaKernels, LongRowsAndColumnsAddUp) {
  Generator generator(1);
  for (const Shape& shape : {Shape{2, 9000}, Shape{9000, 2}, Shape{3, 70, 65}, Shape{300, 1}}) {
    const Tensor x = randn(shape, generator, {DType::float64});
    for (const Dims& dims : {Dims{}, Dims{0}, Dims{-1}}) {
      const std::vector<double> a = sum(x, dims).to_vector(), b = sum(x.to(gpu), dims).to_vector();
      for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-9) << to_string(shape);
    }
  }
}

TEST(CudaKernels, AnIndexOutOfRangeIsReportedWithTheNextCopyToTheHost) {
  Generator generator(1);
  const Tensor table = randn({3, 4}, generator, {DType::float32, gpu});
  const std::vector<std::int32_t> bad = {0, 1, 7, -1};
  const Tensor index = from_indices(bad, {4}).to(gpu), at = from_indices(bad, {1, 4}).to(gpu);
  const auto says = [](const std::string& name, const std::function<Tensor()>& f) {
    const std::string text = message_of([&] { f().to_vector(); });
    EXPECT_EQ(text.find(name + ": the index at position 2 points outside"), 0u) << text;
  };
  says("embedding", [&] { return embedding(table, index); });
  says("gather", [&] { return gather(table, 0, at); });
  says("index_add", [&] { return index_add(table, index, randn({4, 4}, generator, table.options())); });
  says("cross_entropy", [&] { return cross_entropy(randn({4, 3}, generator, table.options()), index); });
  says("route", [&] { return route(at.reshape({2, 2}), 3).offsets; });
  says("route", [&] {
    const Routing routing = route(at.reshape({2, 2}), 3);
    return expert_matmul(ones({4, 2}, table.options()), ones({3, 2, 2}, table.options()), routing.offsets);
  });
  says("embedding", [&] { return full({}, HostCopy(sum(embedding(table, index))).values().front()); });
  EXPECT_EQ(embedding(table, from_indices(std::vector<std::int32_t>{2}, {1}).to(gpu)).to_vector().size(), 4u)
      << "and then the device serves again";
}

TEST(CudaKernels, AValueThatIsNoIndexIsReportedAndTheOthersConvertAsOnTheCpu) {
  for (const double bad : {std::nan(""), -double{INFINITY}, 0x1p70}) {
    for (const DType from : {DType::float32, DType::float64, DType::bfloat16}) {
      const Tensor x = tensor({1, -1.5, bad, bad}, {from}).to(gpu);
      EXPECT_EQ(message_of([&] { x.to(DType::int64).to_vector(); }),
                "cast: the value at position 2 is no index: it must be a number in the dtype's range; found on the "
                "device, some ops later");
    }
  }
  EXPECT_NE(message_of([&] { full({3}, 3e9, {DType::int64, gpu}).to(DType::int32).to_vector(); }), "no error");
  EXPECT_NE(message_of([&] { full({3}, 3e9, {DType::int32, gpu}); }), "no error");
  const Tensor good = tensor({-0x1p31, 0x1p31 - 1, -1.9, 1.9, 0}, {DType::float64});
  EXPECT_EQ(good.to(gpu).to(DType::int32).to_vector(), good.to(DType::int32).to_vector());
}

TEST(CudaKernels, TensorsOfTwoDevicesDoNotMix) {
  const Tensor here = ones({2}), there = ones({2}, {DType::float32, gpu});
  EXPECT_EQ(message_of([&] { add(here, there); }),
            std::string("add: tensors are on cpu and on ") + name_of(gpu) + ": bring them together with to(Device)");
  EXPECT_EQ(message_of([&] { there.data<float>(); }),
            std::string("data: the tensor is on ") + name_of(gpu) + ": bring it with to(Device::cpu)");
}

/// A master weight takes part as it is, and its gradient is not rounded: float32's error is far below a step of 16 bits.
TEST(CudaKernels, RowsOfSixteenBitsTakeFloat32Weights) {
  Generator generator(5);
  using Op = std::function<Tensor(const Tensor& x, const Tensor& weight)>;
  const auto check = [&](const Op& op, const Tensor& x, const Tensor& weight, const Tensor& dy) {
    std::vector<Tensor> results[2];
    for (const Device device : {Device::cpu, gpu}) {
      Tensor a = x.to(device).detach(), w = weight.to(device).detach();  // leaves of this run alone
      a.requires_grad(true), w.requires_grad(true);
      Tape tape;
      const Tensor y = op(a, w);
      tape.backward(y, dy.to(device));
      EXPECT_EQ(y.dtype(), x.dtype());
      EXPECT_EQ(a.grad().dtype(), x.dtype());
      EXPECT_EQ(w.grad().dtype(), weight.dtype());
      results[device == gpu] = {y.detach(), a.grad(), w.grad()};
    }
    for (std::size_t i = 0; i < 3; ++i) {
      const std::vector<double> here = results[0][i].to_vector(), there = results[1][i].to_vector();
      double largest = 0;
      for (double v : here) largest = std::max(largest, std::abs(v));
      const DType dtype = results[0][i].dtype();
      const double step = dtype == DType::float32 ? 1e-6 : dtype == DType::bfloat16 ? 0x1p-7 : 0x1p-10;
      std::size_t neighbours = 0;
      for (std::size_t j = 0; j < here.size(); ++j) {
        EXPECT_NEAR(here[j], there[j], step * largest) << name_of(dtype) << " result " << i << " at " << j;
        neighbours += here[j] != there[j];
      }
      if (is_half(dtype)) {
        EXPECT_LE(neighbours, here.size() / 20) << "most are rounded to the same number";
      }
    }
  };
  for (const DType dtype : halves) {
    for (const std::int64_t width : {24, 33, 300}) {
      const Tensor x = sixteenths({70, width}, generator, 128).to(dtype);
      check([](const Tensor& rows, const Tensor& w) { return rms_norm(rows, w); }, x,
            sixteenths({width}, generator, 4000), sixteenths({70, width}, generator, 128).to(dtype));
      const Tensor chosen = uniform({35, 2}, generator, 0, 4).to(DType::int32);
      const Op combine = [&](const Tensor& rows, const Tensor& w) {
        return combine_rows(rows, w, route(chosen.to(rows.device()), 4));
      };
      check(combine, x, sixteenths({35, 2}, generator, 4000), sixteenths({35, width}, generator, 128).to(dtype));
    }
  }
}

/// Sums of several parts, which are float32 or more: whole numbers, so that they are exact in any order, and too large for
/// 16 bits on the way.
TEST(CudaKernels, PartsOfSumsOfSixteenBitsAreNotRounded) {
  Generator generator(6);
  const auto extent = [](std::int64_t outer, std::int64_t reduced, std::int64_t inner) {
    return std::array{outer, reduced, inner};
  };
  for (const DType dtype : halves) {
    for (const auto& [outer, reduced, inner] : {extent(2, 9000, 1), extent(3, 40, 1), extent(2, 300, 5)}) {
      const Tensor x = (sixteenths({outer, reduced, inner}, generator, 128) + 4).to(dtype);
      for (const DType result : {dtype, DType::float32}) {
        Tensor here = empty({outer, inner}, {result}), there = empty({outer, inner}, {result, gpu});
        kernel::sum(x, outer, reduced, inner, here);
        kernel::sum(x.to(gpu), outer, reduced, inner, there);
        EXPECT_EQ(there.to_vector(), here.to_vector());
      }
      Tensor here = empty({1}, {DType::float64}), there = empty({1}, {DType::float64, gpu});
      kernel::squared_norms(Tensors{x}, here);
      kernel::squared_norms(Tensors{x.to(gpu)}, there);
      EXPECT_EQ(there.item(), here.item());
    }
  }
}

TEST(CudaKernels, OneQueryOfHeadsThatShareKeysAndValuesIsAsOnTheCpu) {
  constexpr std::int64_t batch = 2, keys = 70, own = 24, out = 20, rope = 8;
  Generator generator(7);
  for (const std::int64_t heads : {1, 3, 9, 21}) {
    for (const bool one_key : {true, false}) {
      const Tensor q = randn({batch, 1, heads, own + rope}, generator), shared = randn({batch, keys, rope}, generator);
      const Tensor k = randn({batch, keys, one_key ? 1 : heads, own}, generator);
      const Tensor v = randn({batch, keys, 1, out}, generator);
      const auto attend = [&](Device device) {
        return causal_attention(q.to(device), k.to(device).expand({batch, keys, heads, own}),
                                v.to(device).expand({batch, keys, heads, out}), shared.to(device), 0.3, keys - 1)
            .to_vector();
      };
      const std::vector<double> here = attend(Device::cpu), there = attend(gpu);
      for (std::size_t i = 0; i < here.size(); ++i) ASSERT_NEAR(there[i], here[i], 2e-6) << heads << " heads, at " << i;
    }
  }
}

TEST(CudaKernels, ADeviceThatIsNotEnabledIsRefusedByName) {
  const bool emulated = gpu == Device::cuda_emulated;
  const std::string text = message_of([&] { backend(emulated ? Device::cuda : Device::cuda_emulated); });
  EXPECT_NE(text.find(emulated ? "cuda-emulated runs the same kernels" : "link folio::cuda_emulated"),
            std::string::npos)
      << text;
}

TEST(CudaKernels, AModuleMovesWithItsGradientsAndComesBack) {
  Generator generator(3);
  SwiGLU module(6, 5, generator, {}, 0.1, 0.1);
  const Tensor x = randn({4, 6}, generator);
  const auto run = [&](const Tensor& in) {
    Tape tape;
    const Tensor y = module(in);
    tape.backward(sum(y * y));
    return y.to_vector();
  };
  const std::vector<double> here = run(x);
  std::vector<std::vector<double>> gradients;
  for (const Parameter& p : module.parameters()) gradients.push_back(p.value.grad().to_vector());
  module.to(gpu);
  std::size_t i = 0;
  for (Parameter p : module.parameters()) {
    EXPECT_EQ(p.value.device(), gpu);
    EXPECT_EQ(p.value.grad().device(), gpu);
    EXPECT_EQ(p.value.grad().to_vector(), gradients[i++]);
    p.value.zero_grad();
  }
  const std::vector<double> there = run(x.to(gpu));
  for (std::size_t j = 0; j < here.size(); ++j) EXPECT_NEAR(here[j], there[j], 1e-6);
  module.to(Device::cpu);
  i = 0;
  for (const Parameter& p : module.parameters()) {
    EXPECT_EQ(p.value.device(), Device::cpu);
    const std::vector<double> g = p.value.grad().to_vector();
    for (std::size_t j = 0; j < g.size(); ++j) EXPECT_NEAR(g[j], gradients[i][j], 1e-5);
    ++i;
  }
}

}  // namespace
}  // namespace folio
