// Training steps as the device sees them: what the host waits for, what is taken anew from the device's memory, and what
// becomes of numbers that are not finite and that nobody waits for.
#include <gtest/gtest.h>

#include <filesystem>
#include <limits>
#include <map>

#include "autograd/autograd.hpp"
#include "cuda/backend.hpp"
#include "cuda/emulated/control.hpp"
#include "examples/presets.hpp"
#include "examples/trainer.hpp"
#include "tests/error_of.hpp"

namespace folio::examples {
namespace {

using Waits = std::map<std::string, std::int64_t>;

/// The preset `tiny`, with a batch that is emulated in no time, on a text of drawn tokens.
class Steps : public ::testing::Test {
 protected:
  Steps() {
    cuda_emulated::enable();
    cuda_emulated::set_order(cuda_emulated::Order::in_order);
    preset.model.vocab_size = 11;
    preset.model.context = 16;
    preset.training.batch = 2;
    preset.training.steps = 6;
    preset.training.log_every = 6;
    preset.training.validate_every = -1;
    preset.training.sample_every = -1;
    const RandomStream stream{3, 0};
    for (std::int64_t i = 0; i < 200; ++i) corpus.train.push_back(static_cast<std::int32_t>(stream.uniform(i) * 11));
    corpus.validation = corpus.train;
    std::filesystem::create_directories(folder);
    ::testing::internal::CaptureStdout();
  }
  ~Steps() override {
    ::testing::internal::GetCapturedStdout();
    std::filesystem::remove_all(folder);
  }

  /// Trains, and calls after_step(n, model) behind each.
  template <class AfterStep>
  void train(AfterStep&& after_step) {
    Generator generator(5);
    DeepSeekLM model(preset.model, generator);
    model.to(Device::cuda_emulated);
    RunLog log(folder, preset.training.steps);
    Trainer trainer(model, corpus, preset.training, log);
    trainer.run([&](std::int64_t n) { after_step(n, model); });
  }

  std::filesystem::path folder =
      std::filesystem::path(::testing::TempDir()) / ::testing::UnitTest::GetInstance()->current_test_info()->name();
  Preset preset = find_preset("tiny");
  data::Corpus corpus;
};

TEST_F(Steps, WaitForTheLoadsOfEachMoELayerAndNothingElse) {
  for (const std::int64_t micro_batches : {1, 3}) {
    preset.training.accumulate = micro_batches;
    std::map<std::int64_t, Waits> waits;
    std::map<std::int64_t, std::int64_t> allocations, pinned;
    train([&](std::int64_t n, const DeepSeekLM&) {
      waits[n] = cuda_emulated::host_waits();
      cuda_emulated::reset_host_waits();
      allocations[n] = cuda_emulated::memory_statistics().allocations;
      pinned[n] = cuda_emulated::memory_statistics().pinned_live;
    });
    const Waits expected = {{"cudaEventSynchronize", micro_batches * preset.model.num_hidden_layers}};
    for (const std::int64_t n : {2, 3, 4, 5}) EXPECT_EQ(waits[n], expected) << "step " << n;
    EXPECT_GT(waits[6].size(), 1U) << "a step that is logged waits for what it shows";
    EXPECT_EQ(allocations[5], allocations[3]) << "device memory";
    EXPECT_EQ(pinned[5], pinned[3]) << "pinned memory";
  }
}

TEST_F(Steps, TellOfALossThatIsNotFiniteDuringTheNext) {
  const std::string said = error_of([&] {
    train([](std::int64_t n, DeepSeekLM& model) {
      EXPECT_LE(n, 3);
      if (n == 2) model.norm.weight.fill(std::numeric_limits<double>::quiet_NaN());
    });
  });
  EXPECT_TRUE(said.starts_with("step 3: the loss is nan; try a lower --lr")) << said;
}

/// An infinite gradient of a finite loss: one that was there already.
TEST_F(Steps, KeepAGradientThatIsNotFiniteFromTheWeightsAndTellOfItDuringTheNext) {
  std::map<std::int64_t, std::vector<double>> norms;
  const std::string said = error_of([&] {
    train([&](std::int64_t n, DeepSeekLM& model) {
      norms[n] = model.norm.weight.to_vector();
      if (n != 2) return;
      Tensor spoilt = full(model.norm.weight.shape(), std::numeric_limits<double>::infinity(), model.options());
      model.norm.weight.set_grad(spoilt);  // backward adds to it
    });
  });
  EXPECT_TRUE(said.starts_with("step 3: the loss is ")) << said;
  EXPECT_NE(said.find("the gradient of 'norm.weight' is not finite and does not reach the weights"), std::string::npos)
      << said;
  EXPECT_EQ(norms.rbegin()->first, 3);
  EXPECT_EQ(norms[3], norms[2]);
  EXPECT_NE(norms[2], norms[1]);
}

}  // namespace
}  // namespace folio::examples
