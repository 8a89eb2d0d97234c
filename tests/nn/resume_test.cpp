#include <gtest/gtest.h>

#include "autograd/autograd.hpp"
#include "data/batches.hpp"
#include "data/safetensors.hpp"
#include "nn/nn.hpp"
#include "optim/adamw.hpp"
#include "optim/clip.hpp"
#include "tests/data/support.hpp"
#include "tests/nn/small_config.hpp"

namespace folio::testing {
namespace {

DeepSeekConfig small() {
  DeepSeekConfig c = small_config(11);
  c.dropout = 0.1;
  return c;
}

/// A model in training: everything that a saved run must bring back.
struct Training {
  explicit Training(std::uint64_t seed)
      : generator(seed), model(small(), generator), adam(model.parameters(), {.lr = 1e-2}) {}

  void train(std::int64_t first, std::int64_t last) {
    std::vector<std::int32_t> tokens(200);
    for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<std::int32_t>(i * i % 11);
    const data::RandomBatches batches(tokens, 3, 8, 5);
    for (std::int64_t n = first; n < last; ++n) {
      const data::Batch b = batches[n];
      Tape tape;
      tape.backward(model.loss(from_indices(b.inputs, {3, 8}), from_indices(b.targets, {3, 8})));
      adam.step(optim::clip_by_global_norm(model.parameters(), 1.0).factor);
      model.update_router_bias();
    }
  }

  std::map<std::string, std::vector<double>> values() const {
    std::map<std::string, std::vector<double>> all;
    for (const auto& [name, value] : model.state()) all[name] = value.to_vector();
    for (const auto& [name, value] : adam.state()) all["adam." + name] = value.to_vector();
    return all;
  }

  Generator generator;
  DeepSeekLM model;
  optim::AdamW adam;
};

TEST(Resume, TwiceNStepsAreNSavedLoadedAndN) {
  Training whole(1);
  whole.train(0, 12);

  const data::TemporaryFolder folder;
  Training first(1);
  first.train(0, 6);
  data::TensorFile moments;
  for (const auto& [name, value] : first.adam.state()) moments.tensors[name] = value;
  data::save_safetensors(folder.path() / "weights.safetensors", {first.model.state(), {}});
  data::save_safetensors(folder.path() / "moments.safetensors", moments);

  Training second(2);  // other weights, other dropout
  second.model.load_state(data::load_safetensors(folder.path() / "weights.safetensors").tensors);
  second.adam.load_state(data::load_safetensors(folder.path() / "moments.safetensors").tensors);
  second.adam.set_steps(first.adam.steps());
  second.model.dropout_generator() = first.model.dropout_generator();
  second.train(6, 12);

  EXPECT_EQ(second.values(), whole.values());
  EXPECT_NE(first.values(), whole.values());
  double bias = 0;
  for (const Parameter& b : whole.model.buffers()) {
    for (double v : b.value.to_vector()) bias += std::abs(v);
  }
  EXPECT_GT(bias, 0) << "the router's bias never moved, so that its return proves nothing";
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
