// A host mirror of a tensor on a device reads what is there, whoever has written it, and by which way.
#include "nn/host_mirror.hpp"

#include <gtest/gtest.h>

#include <functional>

#include "autograd/autograd.hpp"
#include "nn/deepseek_moe.hpp"
#include "optim/sgd.hpp"
#include "tests/cuda/ops/under_test.hpp"
#include "tests/nn/small_config.hpp"
#include "tests/shares.hpp"

namespace folio {
namespace {

constexpr std::int64_t numbers = 5;

/// A module of one buffer and of one parameter, either of which may be mirrored.
struct Holder : Module {
  Tensor buffer = add_buffer("buffer", zeros({numbers}));
  Tensor parameter = add_parameter("parameter", zeros({numbers}));
};

/// Every way to write to a tensor on a device that goes past its mirror; each leaves other values there than before.
struct Outside {
  const char* name;
  void (*write)(Holder& holder, Tensor& x, double value);
};
const Outside outsides[] = {
    {"fill", [](Holder&, Tensor& x, double value) { x.fill(value); }},
    {"copy from the host", [](Holder&, Tensor& x, double value) { x.copy_from(full(x.shape(), value)); }},
    {"copy on the device", [](Holder&, Tensor& x, double value) { x.copy_from(full(x.shape(), value, x.options())); }},
    {"write through a view", [](Holder&, Tensor& x, double value) { x.slice(0, 1, 2).fill(value); }},
    {"write through another handle", [](Holder&, Tensor& x, double value) { x.detach().fill(value); }},
    {"load_state",
     [](Holder& holder, Tensor& x, double value) {
       holder.load_state({{"buffer", full(x.shape(), value)}, {"parameter", full(x.shape(), value)}});
     }},
    {"write on the host and come back",
     [](Holder& holder, Tensor& x, double value) {
       holder.to(Device::cpu);
       if (x.device() == Device::cpu)
         x.mutable_data<float>()[numbers - 1] = static_cast<float>(value);  // or it is not the holder's
       holder.to(under_test::device);
     }},
    {"step of an optimizer",
     [](Holder& holder, Tensor& x, double value) {
       holder.parameter.set_grad(full(x.shape(), value, x.options()));
       optim::SGD(holder.parameters(), {.lr = 1}).step();
     }},
    {"another tensor in its place",
     [](Holder&, Tensor& x, double value) {
       const Tensor other = full(x.shape(), value, x.options());
       x = other;
     }},
};

std::vector<double> read(HostMirror& mirror, const Tensor& x) {
  const std::span<const float> values = mirror.read(x);
  return {values.begin(), values.end()};
}

/// Any sequence of writes by the mirror and past it, each read now, later or never.
FOLIO_PROPERTY(CudaHostMirror, ReadsWhatIsThereWhoeverHasWritten) {
  Holder holder;
  holder.to(under_test::device);
  Tensor x = *rc::gen::arbitrary<bool>() ? holder.buffer : holder.parameter;
  HostMirror mirror;
  const std::int64_t steps = testing::between(0, 12);
  double value = 0;
  bool inside = false, outside = false;
  for (std::int64_t step = 0; step < steps; ++step) {
    value += 1;
    const auto which = static_cast<std::size_t>(testing::between(0, std::ssize(outsides)));
    (which == std::size(outsides) ? inside : outside) = true;
    if (which == std::size(outsides)) {
      mirror.write(x, std::vector<float>(numbers, static_cast<float>(value)));
      RC_LOG() << "write by the mirror" << std::endl;
    } else {
      outsides[which].write(holder, x, value);
      RC_LOG() << outsides[which].name << std::endl;
    }
    if (testing::between(0, 1) == 1) RC_ASSERT(read(mirror, x) == x.to_vector());
  }
  shares.note("written past the mirror", outside, 60);
  shares.note("written both ways", inside && outside, 25);
  RC_ASSERT(read(mirror, x) == x.to_vector());
}

TEST(CudaHostMirror, SeesEachWayOfWritingAtOnce) {
  for (const Outside& outside : outsides) {
    for (const bool parameter : {false, true}) {
      Holder holder;
      holder.to(under_test::device);
      Tensor x = parameter ? holder.parameter : holder.buffer;
      HostMirror mirror;
      mirror.write(x, std::vector<float>(numbers, 3));
      const std::vector<double> before = x.to_vector();
      outside.write(holder, x, 7);
      const bool reaches = parameter || std::string(outside.name) != "step of an optimizer";
      EXPECT_EQ(x.to_vector() != before, reaches) << outside.name;
      EXPECT_EQ(read(mirror, x), x.to_vector()) << outside.name;
    }
  }
}

/// A scheme with a memory: the bias follows the mean of all loads so far.
struct Remembering : BiasScheme {
  void update(std::span<float> bias, std::span<const std::int64_t> loads) override {
    for (std::size_t e = 0; e < bias.size(); ++e) {
      seen[e] = 0.5F * seen[e] + static_cast<float>(loads[e]);
      bias[e] -= seen[e] / 64;
    }
  }
  std::map<std::string, std::span<float>> state() override { return {{"seen", seen}}; }
  std::vector<float> seen = std::vector<float>(4);
};

/// A router's bias and what its scheme remembers, step by step, as on the CPU, which mirrors nothing: over a state that is
/// loaded between two steps, and a bias that somebody fills.
TEST(CudaHostMirror, ARouterGoesOnFromWhatWasLoadedOnTheDevice) {
  const DeepSeekConfig config = testing::small_config(11);
  const auto run = [&](Device device) {
    Generator generator(5);
    DeepSeekMoE moe(config, generator, {DType::float64});
    moe.set_bias_scheme(std::make_unique<Remembering>());
    moe.to(device);
    std::vector<std::vector<double>> all;
    std::map<std::string, Tensor> saved;
    for (int step = 0; step < 6; ++step) {
      moe(randn({2, 8, config.hidden_size}, generator, {DType::float64}).to(device));
      if (step == 3) moe.load_state(saved);
      if (step == 4) moe.gate.e_score_correction_bias.fill(0.25);
      moe.update_bias();
      for (const Parameter& b : moe.buffers()) all.push_back(b.value.to_vector());
      if (step == 0) {
        for (const auto& [name, value] : moe.state()) saved[name] = value.detach().clone();
      }
    }
    return all;
  };
  const auto here = run(Device::cpu), there = run(under_test::device);
  EXPECT_EQ(there, here);
  EXPECT_NE(here.front(), here.back());
}

}  // namespace
}  // namespace folio
