// Training steps as the device sees them: what the host waits for, what is taken anew from the device's memory, and what
// becomes of numbers that are not finite and that nobody waits for.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <limits>
#include <map>

#include "autograd/autograd.hpp"
#include "autograd/memory.hpp"
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
    const std::string printed = ::testing::internal::GetCapturedStdout();
    if (HasFailure()) std::cout << printed;  // with what is wrong
    std::filesystem::remove_all(folder);
  }

  /// Trains, and calls after_step(n, model) behind each, and at_the_end(model, trainer).
  template <class AfterStep, class AtTheEnd>
  void train(AfterStep&& after_step, AtTheEnd&& at_the_end) {
    Generator generator(5);
    DeepSeekLM model(preset.model, generator);
    model.to(Device::cuda_emulated);
    RunLog log(folder, preset.training.steps);
    Trainer trainer(model, corpus, preset.training, log);
    trainer.run([&](std::int64_t n) { after_step(n, model); });
    at_the_end(model, trainer);
  }
  template <class AfterStep>
  void train(AfterStep&& after_step) {
    train(after_step, [](const DeepSeekLM&, const Trainer&) {});
  }

  std::filesystem::path folder =
      std::filesystem::path(::testing::TempDir()) / ::testing::UnitTest::GetInstance()->current_test_info()->name();
  Preset preset = find_preset("tiny");
  data::Corpus corpus;
};

TEST_F(Steps, WaitForTheLoadsOfEachMoELayerAndNothingElse) {
  for (const DType dtype : {DType::float32, DType::bfloat16, DType::float16}) {
    for (const std::int64_t micro_batches : {1, 3}) {
      preset.model.dtype = dtype;
      preset.training.accumulate = micro_batches;
      std::map<std::int64_t, Waits> waits;
      std::map<std::int64_t, std::int64_t> allocations, pinned;
      train([&](std::int64_t n, const DeepSeekLM&) {
        waits[n] = cuda_emulated::host_waits();
        cuda_emulated::reset_host_waits();
        allocations[n] = cuda_emulated::memory_statistics().allocations;
        pinned[n] = cuda_emulated::memory_statistics().pinned_live;
      });
      SCOPED_TRACE(name_of(dtype));
      const Waits expected = {{"cudaEventSynchronize", micro_batches * preset.model.num_hidden_layers}};
      for (const std::int64_t n : {2, 3, 4, 5}) EXPECT_EQ(waits[n], expected) << "step " << n;
      EXPECT_GT(waits[6].size(), 1U) << "a step that is logged waits for what it shows";
      EXPECT_EQ(allocations[5], allocations[3]) << "device memory";
      EXPECT_EQ(pinned[5], pinned[3]) << "pinned memory";
    }
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

TEST_F(Steps, TellOfALossThatIsNotFiniteBeforeTheMemoryThatTheNextLacks) {
  const std::size_t capacity = cuda_emulated::memory_statistics().capacity_bytes;
  const std::string said = error_of([&] {
    train([](std::int64_t n, DeepSeekLM& model) {
      if (n == 1) model.norm.weight.fill(std::numeric_limits<double>::quiet_NaN());
      if (n != 2) return;
      release_cached_memory(Device::cuda_emulated);
      cuda_emulated::set_memory_capacity(cuda_emulated::memory_statistics().bytes);
    });
  });
  cuda_emulated::set_memory_capacity(capacity);
  EXPECT_TRUE(said.starts_with("step 2: the loss is nan; try a lower --lr")) << said;
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

/// Steps that nobody waits for are judged during the next, and come to the same, bit for bit, as those that are waited for.
TEST_F(Steps, SkipWhatOverflowsFloat16WhetherItIsWaitedForOrNot) {
  preset.model.dtype = DType::float16;
  preset.model.context = 2;  // few targets, each with a large part of the scaled loss
  preset.model.init_std = 1;
  preset.training.batch = 1;
  preset.training.steps = 12;
  preset.training.ema_decay = 0.9;
  using Values = std::vector<std::vector<double>>;
  const auto values_and_skipped = [&](std::int64_t log_every) {
    preset.training.log_every = log_every;
    Values values;
    const auto take = [&](const DeepSeekLM& model) {
      for (const Parameters& all : {model.parameters(), model.buffers()})
        for (const Parameter& p : all) values.push_back(p.value.to_vector());
    };
    train([](std::int64_t, const DeepSeekLM&) {},
          [&](const DeepSeekLM& model, Trainer& trainer) {
            take(model);
            trainer.with_averages([&] { take(model); });
          });
    std::vector<std::string> skipped;
    std::ifstream rows(folder / "metrics.jsonl");
    for (std::string row; std::getline(rows, row);)
      if (row.find("skipped") != std::string::npos) skipped.push_back(row);
    return std::pair(values, skipped);
  };
  const auto [waited, skipped] = values_and_skipped(1);
  const auto [not_waited, skipped_later] = values_and_skipped(100);
  EXPECT_EQ(skipped_later, skipped);
  EXPECT_GE(skipped.size(), 3U);
  EXPECT_LE(skipped.size(), 9U);
  EXPECT_TRUE(not_waited == waited);
}

TEST_F(Steps, FindTheirBatchesOnTheDeviceWhateverRunsFirstAndWaitForNone) {
  const data::RandomBatches drawn(corpus.train, 3, 16, 9);
  for (const cuda_emulated::Order order : cuda_emulated::all_orders) {
    for (std::uint64_t seed = 0; seed < 5; ++seed) {
      cuda_emulated::set_order(order, seed);
      data::PrefetchedBatches batches(drawn, Device::cuda_emulated);
      std::vector<data::DeviceBatch> there;
      std::vector<Tensor> doubled;
      cuda_emulated::reset_host_waits();
      const std::vector<std::int64_t> steps = {4, 5, 6, 2, 3, 9};
      for (const std::int64_t step : steps) {
        there.push_back(batches[step]);
        const Tensor x = there.back().inputs.to(DType::float32);
        doubled.push_back(x + x);
      }
      EXPECT_EQ(cuda_emulated::host_waits(), Waits());
      for (std::size_t i = 0; i < steps.size(); ++i) {
        const data::Batch b = drawn[steps[i]];
        const data::DeviceBatch& batch = there[i];
        const std::vector<double> inputs(b.inputs.begin(), b.inputs.end());
        EXPECT_EQ(batch.inputs.to_vector(), inputs) << name_of(order) << " seed " << seed;
        EXPECT_EQ(batch.targets.to_vector(), std::vector<double>(b.targets.begin(), b.targets.end()));
        EXPECT_EQ((doubled[i] - batch.inputs.to(DType::float32)).to_vector(), inputs);
      }
    }
  }
}

TEST_F(Steps, ComputeWhileTheNextBatchIsUnderWay) {
  data::PrefetchedBatches batches(data::RandomBatches(corpus.train, 3, 16, 9), Device::cuda_emulated);
  for (std::int64_t step = 1; step < 7; ++step) {
    const Tensor x = batches[step].inputs.to(DType::float32);
    (x + x).to_vector();
    EXPECT_GT(cuda_emulated::pending_operations(), 0U) << "step " << step << " waited for the batch of the next";
  }
}

/// Or its times would be those of launching.
TEST_F(Steps, WaitForEachKernelUnderAProfile) {
  const Tensor x = full({300}, 2, {DType::float32, Device::cuda_emulated});
  const Profile profile;
  ProfileSection part;
  part.next("ops");
  const Tensor y = x * x;
  EXPECT_EQ(cuda_emulated::pending_operations(), 0U);
  part.end();
  EXPECT_EQ(y.to_vector().front(), 4);
}

/// Memory for some windows, no more: the batch that is named trains, and half as many windows more do not.
TEST_F(Steps, NameTheLargestBatchThatFitsWhereMemoryEnds) {
  preset.training.steps = 2;
  const auto said_with = [&](std::int64_t batch) {
    preset.training.batch = batch;
    release_cached_memory(Device::cuda_emulated);
    return error_of([&] { train([](std::int64_t, const DeepSeekLM&) {}); });
  };
  const std::size_t capacity = cuda_emulated::memory_statistics().capacity_bytes;
  release_cached_memory(Device::cuda_emulated);
  cuda_emulated::set_memory_capacity(cuda_emulated::memory_statistics().bytes + (std::size_t{8} << 20));
  const std::string said = said_with(64);
  const std::string after = " MiB; --batch ";
  EXPECT_TRUE(said.starts_with("step 1: out of device memory: asked for ")) << said;
  EXPECT_NE(said.find("MiB, tensors hold "), std::string::npos) << said;
  const std::size_t at = said.find(after);
  ASSERT_NE(at, std::string::npos) << said;
  EXPECT_TRUE(said.ends_with(" would fit")) << said;
  const std::int64_t fits = std::stoll(said.substr(at + after.size()));
  EXPECT_GE(fits, 2);
  EXPECT_EQ(said_with(fits), "") << said;
  EXPECT_NE(said_with(fits + fits / 2 + 1), "") << said;
  cuda_emulated::set_memory_capacity(capacity);
}

}  // namespace
}  // namespace folio::examples
