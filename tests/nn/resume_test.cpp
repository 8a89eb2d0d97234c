#include <gtest/gtest.h>

#include "autograd/autograd.hpp"
#include "autograd/memory.hpp"
#include "data/batches.hpp"
#include "data/safetensors.hpp"
#include "nn/nn.hpp"
#include "optim/adamw.hpp"
#include "optim/clip.hpp"
#include "optim/muon.hpp"
#include "tests/data/support.hpp"
#include "tests/error_of.hpp"
#include "tests/nn/small_config.hpp"

namespace folio::testing {
namespace {

DeepSeekConfig small() {
  DeepSeekConfig c = small_config(11);
  c.dropout = 0.1;
  return c;
}

/// A user's scheme that remembers: its bias moves by half of what it moved by before, too.
struct Momentum : BiasScheme {
  void update(std::span<float> bias, std::span<const std::int64_t> loads) override {
    for (std::size_t e = 0; e < bias.size(); ++e) {
      momentum[e] = 0.5F * momentum[e] + 0.001F * static_cast<float>(12 - loads[e]);
      bias[e] += momentum[e];
    }
  }
  std::map<std::string, std::span<float>> state() override { return {{"momentum", momentum}}; }
  std::vector<float> momentum = std::vector<float>(4);
};

using MakeScheme = std::function<std::unique_ptr<BiasScheme>()>;

/// A model in training: everything that a saved run must bring back.
struct Training {
  explicit Training(std::uint64_t seed, const MakeScheme& scheme = {}, bool muon = false)
      : generator(seed), model(small(), generator) {
    if (muon) {
      optimizer = std::make_unique<optim::Muon>(model.parameters(), optim::MuonOptions{.lr = 1e-2});
    } else {
      optimizer = std::make_unique<optim::AdamW>(model.parameters(), optim::AdamWOptions{.lr = 1e-2});
    }
    if (scheme) model.set_bias_scheme(scheme);
  }

  void train(std::int64_t first, std::int64_t last) {
    std::vector<std::int32_t> tokens(200);
    for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<std::int32_t>(i * i % 11);
    const data::RandomBatches batches(tokens, 3, 8, 5);
    for (std::int64_t n = first; n < last; ++n) {
      const data::Batch b = batches[n];
      Tape tape;
      tape.backward(model.loss(from_indices(b.inputs, {3, 8}), from_indices(b.targets, {3, 8})));
      optimizer->step(optim::clip_by_global_norm(model.parameters(), 1.0));
      model.update_router_bias();
    }
  }

  std::map<std::string, std::vector<double>> values() const {
    std::map<std::string, std::vector<double>> all;
    for (const auto& [name, value] : model.state()) all[name] = value.to_vector();
    for (const auto& [name, value] : optimizer->state()) all["optimizer." + name] = value.to_vector();
    return all;
  }

  Generator generator;
  DeepSeekLM model;
  std::unique_ptr<optim::Optimizer> optimizer;
};

void expect_twice_n_steps_are_n_saved_loaded_and_n(const MakeScheme& scheme, bool muon = false) {
  Training whole(1, scheme, muon);
  whole.train(0, 12);

  const data::TemporaryFolder folder;
  Training first(1, scheme, muon);
  first.train(0, 6);
  data::TensorFile moments;
  for (const auto& [name, value] : first.optimizer->state()) moments.tensors[name] = value;
  data::save_safetensors(folder.path() / "weights.safetensors", {first.model.state(), {}});
  data::save_safetensors(folder.path() / "moments.safetensors", moments);

  Training second(2, scheme, muon);  // other weights, other dropout
  second.model.load_state(data::load_safetensors(folder.path() / "weights.safetensors").tensors);
  second.optimizer->load_state(data::load_safetensors(folder.path() / "moments.safetensors").tensors);
  second.optimizer->set_steps(first.optimizer->steps());
  second.model.dropout_generator() = first.model.dropout_generator();
  second.train(6, 12);

  EXPECT_EQ(second.values(), whole.values());
  EXPECT_NE(first.values(), whole.values());
  for (const Parameter& b : whole.model.buffers()) {
    double moved = 0;
    for (double v : b.value.to_vector()) moved += std::abs(v);
    EXPECT_GT(moved, 0) << b.name << " never moved, so that its return proves nothing";
  }
}

TEST(Resume, TwiceNStepsAreNSavedLoadedAndN) { expect_twice_n_steps_are_n_saved_loaded_and_n({}); }

TEST(Resume, TwiceNStepsOfMuonAreNSavedLoadedAndN) { expect_twice_n_steps_are_n_saved_loaded_and_n({}, true); }

#ifndef __SANITIZE_ADDRESS__  // under which freed blocks are not kept
/// One thread, since two may hold a kernel's buffers at once, or not.
TEST(Training, TakesAllItsMemoryInTheFirstSteps) {
  const int threads = num_threads();
  set_num_threads(1);
  for (const bool muon : {false, true}) {
    release_cached_memory(Device::cpu);
    Training training(1, {}, muon);
    reset_peak_memory();
    training.train(0, 4);
    const std::size_t held = held_memory(Device::cpu);
    EXPECT_GE(held, memory_statistics().peak) << "what a step frees is kept for the next";
    training.train(4, 20);
    EXPECT_EQ(held_memory(Device::cpu), held);
  }
  set_num_threads(threads);
}
#endif

TEST(Resume, TheStateOfAUsersBiasSchemeComesBack) {
  expect_twice_n_steps_are_n_saved_loaded_and_n([] { return std::make_unique<Momentum>(); });
}

TEST(Resume, TheStateOfABiasSchemeIsPartOfTheModels) {
  const auto remembers = [](const Training& run) { return run.model.state().contains("layers.1.mlp.scheme.momentum"); };
  Training run(1, [] { return std::make_unique<Momentum>(); });
  EXPECT_TRUE(remembers(run));
  run.model.set_bias_scheme([] { return make_bias_scheme("sign", 0.1); });
  EXPECT_FALSE(remembers(run)) << "the state of a scheme that is gone";
  EXPECT_FALSE(remembers(Training(1)));
  EXPECT_NE(error_of([&] { run.model.set_bias_scheme([] { return nullptr; }); }).find("no bias scheme"),
            std::string::npos);

  struct Growing : Momentum {
    Growing() { momentum.clear(); }
    void update(std::span<float>, std::span<const std::int64_t> loads) override { momentum.resize(loads.size()); }
  };
  Training growing(1, [] { return std::make_unique<Growing>(); });
  EXPECT_NE(error_of([&] { growing.train(0, 2); }).find("'momentum' had 0 numbers"), std::string::npos);
}

TEST(Decode, IsRefusedWhileTraining) {
  Training run(1);
  LatentCache cache(small(), 1);
  const std::vector<std::int32_t> ids = {1, 2};
  EXPECT_THROW(run.model.decode(from_indices(ids, {1, 2}), cache), Error);
  run.model.eval();
  EXPECT_EQ(run.model.decode(from_indices(ids, {1, 2}), cache).shape(), Shape({1, 2, 11}));
}

}  // namespace
}  // namespace folio::testing
