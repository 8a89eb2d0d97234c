// The kernels of parameter updates: every optimizer on the device goes the way that it goes on the CPU.
#include "tests/cuda/ops/draws.hpp"

#include <algorithm>
#include <cmath>

#include "autograd/kernels.hpp"
#include "optim/adamw.hpp"
#include "optim/clip.hpp"
#include "optim/muon.hpp"
#include "optim/sgd.hpp"

namespace folio {
namespace {

using testing::Shares;

bool has_elements(const Parameter& p) { return p.value.numel() > 0; }

/// Runs `update` on the CPU and on the device, with parameters and gradients of several sizes, some steps. Sizes beyond a
/// block, none at all, and gradients that begin where a pack may not.
template <class Make>
void check_optimizer(Shares& shares, std::uint64_t seed, Make&& make, const std::string& kernel, DType dtype) {
  draw_order(seed);
  Generator generator(seed);
  std::vector<Parameter> here, there;
  const int count = draw_between(1, 6);
  for (int i = 0; i < count; ++i) {
    Tensor p = randn({draw_between(0, 9), draw_between(1, *rc::gen::element(70, 1200))}, generator, {dtype});
    Tensor q = p.to(gpu).detach();
    here.push_back({"p" + std::to_string(i), p.requires_grad(true), i % 2 == 0});
    there.push_back({"p" + std::to_string(i), q.requires_grad(true), i % 2 == 0});
  }
  const auto any = [&](const auto& is_so) { return std::any_of(here.begin(), here.end(), is_so); };
  shares.note("of several parameters", count > 1, 60);
  shares.note("of several blocks", any([](auto& p) { return p.value.numel() > threads_of_a_block; }), 40);
  shares.note("with a parameter of no elements", !std::all_of(here.begin(), here.end(), has_elements), 20);
  shares.note("with a gradient that begins between packs", count > 2 && has_elements(here[2]), 40);
  auto a = make(here);
  auto b = make(there);
  for (int step = 0; step < 3; ++step) {
    for (int i = 0; i < count; ++i) {
      const Tensor g = randn(here[i].value.shape(), generator, {dtype});
      here[i].value.set_grad(g);
      const Tensor apart = uniform({g.numel() + 1}, generator, 0, 1, {dtype}).to(gpu);
      Tensor behind = apart.slice(0, 1, apart.numel());
      behind.copy_from(g.reshape({g.numel()}));
      there[i].value.set_grad(i % 3 == 2 ? behind.reshape(g.shape()) : g.to(gpu));
    }
    const optim::Clipped x = optim::clip_by_global_norm(here, 1), y = optim::clip_by_global_norm(there, 1);
    RC_ASSERT(std::abs(x.norm() - y.norm()) <= 1e-6 * x.norm());
    a.step(x);
    under_test::reset_launch_counts();
    b.step(y);
    RC_ASSERT(launches_of(kernel) == std::int64_t{any(has_elements)});
  }
  for (int i = 0; i < count; ++i) expect_near(there[i].value, here[i].value, dtype == DType::float32 ? 2e-6 : 1e-14);
}

DType draw_dtype() { return *rc::gen::element(DType::float32, DType::float64); }

FOLIO_PROPERTY(CudaKernels, AdamWGoesTheSameWay) {
  check_optimizer(
      shares, seed, [](const auto& p) { return optim::AdamW(p, {.lr = 0.01, .weight_decay = 0.1}); }, "adamw_kernel",
      draw_dtype());
}
FOLIO_PROPERTY(CudaKernels, SGDGoesTheSameWay) {
  const bool nesterov = *rc::gen::arbitrary<bool>();
  check_optimizer(
      shares, seed, [&](const auto& p) { return optim::SGD(p, {.lr = 0.01, .momentum = 0.9, .nesterov = nesterov}); },
      "sgd_kernel", draw_dtype());
}

FOLIO_PROPERTY(CudaKernels, MuonGoesTheSameWay) {
  draw_order(seed);
  Generator generator(seed);
  const DType dtype = draw_dtype();
  Parameters here, there;
  const int count = draw_between(1, 4);
  std::int64_t rows = 0, columns = 0;
  for (int i = 0; i < count; ++i) {
    const bool like_the_last = i > 0 && *rc::gen::arbitrary<bool>();
    if (!like_the_last) rows = draw_between(1, 12), columns = draw_between(1, 12);
    Tensor p = randn({draw_between(1, 3), 2 * rows, columns}, generator, {dtype}), q = p.to(gpu).detach();
    for (auto* all : {&here, &there}) {
      Tensor& value = all == &here ? p : q;
      all->push_back({"p" + std::to_string(i), value.requires_grad(true), i % 2 == 0, i == 3 ? 0 : rows});
    }
  }
  const auto any = [&](const auto& is_so) { return std::any_of(here.begin(), here.end(), is_so); };
  const auto wide = [](const Parameter& p) { return p.matrix_rows > 0 && p.value.dim(-1) > p.matrix_rows; };
  const auto tall = [](const Parameter& p) { return p.value.dim(-1) < p.matrix_rows; };
  const auto several_blocks = [](const Parameter& p) { return p.value.numel() > threads_of_a_block; };
  const auto alike = [&](const Parameter& p) {
    return any([&](const Parameter& q) {
      return q.name != p.name && q.matrix_rows == p.matrix_rows && q.value.dim(-1) == p.value.dim(-1);
    });
  };
  shares.note("with a wide matrix", any(wide), 50);
  shares.note("with a tall matrix", any(tall), 50);
  shares.note("with matrices alike in several parameters", any(alike), 30);
  shares.note("with a parameter of AdamW", count > 3, 10);
  shares.note("of several blocks", any(several_blocks), 20);
  const std::int64_t block = draw_between(0, 8);
  const auto in_blocks = [&](const Parameter& p) { return p.matrix_rows > block && block > 0; };
  shares.note("in blocks of rows", any(in_blocks), 30);
  const auto options = [&] {
    return optim::MuonOptions{.lr = 0.01, .weight_decay = 0.1, .block_rows = block, .others = {.lr = 0.01}};
  };
  optim::Muon a(here, options()), b(there, options());
  for (int step = 0; step < 2; ++step) {
    for (std::size_t i = 0; i < here.size(); ++i) {
      here[i].value.set_grad(randn(here[i].value.shape(), generator, {dtype}));
      there[i].value.set_grad(here[i].value.grad().to(gpu));
    }
    a.step(optim::clip_by_global_norm(here, 1));
    under_test::reset_launch_counts();
    b.step(optim::clip_by_global_norm(there, 1));
    RC_ASSERT(launches_of("sgd_kernel") % 2 == 0);
    RC_ASSERT(launches_of("sgd_kernel") > 0);
  }
  for (std::size_t i = 0; i < here.size(); ++i) {
    expect_near(there[i].value, here[i].value, dtype == DType::float32 ? 2e-4 : 1e-10);
  }
}

FOLIO_PROPERTY(CudaKernels, AveragesGoTheSameWay) {
  draw_order(seed);
  Generator generator(seed);
  const DType dtype = draw_dtype();
  Tensors averages, values, averages_there, values_there;
  const int count = draw_between(1, 5);
  for (int i = 0; i < count; ++i) {
    const Shape shape = {draw_between(0, 9), draw_between(1, *rc::gen::element(70, 1200))};
    averages.push_back(randn(shape, generator, {dtype}));
    values.push_back(randn(shape, generator, {dtype}));
    averages_there.push_back(averages.back().to(gpu));
    values_there.push_back(values.back().to(gpu));
  }
  const auto any = [&](const auto& is_so) { return std::any_of(values.begin(), values.end(), is_so); };
  const auto filled = [](const Tensor& x) { return x.numel() > 0; };
  shares.note("of several tensors", count > 1, 60);
  shares.note("of several blocks", any([](const Tensor& x) { return x.numel() > threads_of_a_block; }), 40);
  shares.note("with a tensor of no elements", !std::all_of(values.begin(), values.end(), filled), 20);
  kernel::average(averages, values, 0.3);
  under_test::reset_launch_counts();
  kernel::average(averages_there, values_there, 0.3);
  RC_ASSERT(launches_of("average_kernel") == std::int64_t{any(filled)});
  for (std::size_t i = 0; i < values.size(); ++i) {
    expect_near(averages_there[i], averages[i], dtype == DType::float32 ? 1e-6 : 1e-14);
  }
}

TEST(CudaKernels, ParametersOfTwoTypesTakeALaunchEachAndTheirNormsStandInOrder) {
  Generator generator(4);
  std::vector<Parameter> parameters;
  for (const DType dtype : {DType::float64, DType::float32, DType::float64}) {
    Tensor p = ones({5}, {dtype, gpu}).requires_grad(true);
    p.set_grad(full({5}, static_cast<double>(parameters.size()), {dtype, gpu}));
    parameters.push_back({"p" + std::to_string(parameters.size()), p});
  }
  parameters[1].value.set_grad(full({5}, INFINITY, {DType::float32, gpu}));
  EXPECT_EQ(optim::clip_by_global_norm(parameters, 1).not_finite(), "p1");
  parameters[1].value.set_grad(ones({5}, {DType::float32, gpu}));
  EXPECT_NEAR(optim::clip_by_global_norm(parameters, 1).norm(), std::sqrt(5 * (0. + 1 + 4)), 1e-12);
  under_test::reset_launch_counts();
  optim::SGD(parameters, {.lr = 0.5}).step();
  EXPECT_EQ(launches_of("sgd_kernel"), 2);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(parameters[i].value.to_vector(), std::vector<double>(5, 1 - 0.5 * static_cast<double>(i)));
  }
}

TEST(CudaKernels, AGradientThatIsNotFiniteReachesNoWeightThoughNobodyWaits) {
  Tensor p = ones({5}, {DType::float32, gpu}).requires_grad(true), q = p.clone().requires_grad(true);
  optim::AdamW adam({{"p", p}, {"q", q}}, {.lr = 0.5});
  p.set_grad(ones({5}, p.options()));
  q.set_grad(full({5}, std::nan(""), p.options()));
  const optim::Clipped clipped = optim::clip_by_global_norm({{"p", p}, {"q", q}}, 1);
  EXPECT_FALSE(clipped.known());
  adam.step(clipped);
  Tensor w = ones({5, 2}, p.options()).requires_grad(true);
  w.set_grad(ones({5, 2}, p.options()));
  optim::Muon muon({{"w", w, true, 5}}, {.lr = 0.5});
  muon.step(clipped);
  EXPECT_EQ(w.to_vector(), std::vector<double>(10, 1.0));
  EXPECT_EQ(muon.state().front().second.to_vector(), std::vector<double>(10, 0.0));
  for (const Tensor& x : {p, q}) EXPECT_EQ(x.to_vector(), std::vector<double>(5, 1.0));
  for (const auto& [name, x] : adam.state()) EXPECT_EQ(x.to_vector(), std::vector<double>(5, 0.0)) << name;
  EXPECT_EQ(clipped.not_finite(), "q");
  p.set_grad(ones({5}, p.options()));
  EXPECT_NE(message_of([&] { adam.step(clipped); }).find("the gradient factor is"), std::string::npos) << "once known";
}

TEST(CudaKernels, AFactorThatIsNotFiniteLeavesParametersAndMomentsAlone) {
  const auto same = [](const Tensor& x) { EXPECT_EQ(x.to_vector(), std::vector<double>(3, 1.0)); };
  for (const Device device : {Device::cpu, gpu}) {
    for (const double bad : {std::nan(""), double{INFINITY}}) {
      Tensors p = {ones({3}, {DType::float32, device})}, m = {p[0].clone()}, v = {p[0].clone()};
      const Tensor factor = full({}, bad, {DType::float64, device});
      kernel::adamw(p, p, m, v, factor, AdamWStep{0.1, 0.9, 0.99, 1e-8, 0.1, 0.01, {0.1}});
      kernel::sgd(p, p, m, factor, SGDStep{0.1, 0.9, false, {0.1}});
      same(p[0]), same(m[0]), same(v[0]);
    }
  }
}

}  // namespace
}  // namespace folio
