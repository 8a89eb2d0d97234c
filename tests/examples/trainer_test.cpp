#include "examples/trainer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "autograd/autograd.hpp"
#include "optim/adamw.hpp"
#include "optim/muon.hpp"
#include "tests/nn/small_config.hpp"

namespace folio::examples {
namespace {

constexpr std::int64_t vocabulary = 7;

DeepSeekConfig small_model() { return folio::testing::small_config(vocabulary); }

std::vector<std::int32_t> drawn_tokens(std::int64_t n, std::uint64_t seed) {
  const RandomStream stream{seed, 0};
  std::vector<std::int32_t> tokens;
  for (std::int64_t i = 0; i < n; ++i) tokens.push_back(static_cast<std::int32_t>(stream.uniform(i) * vocabulary));
  return tokens;
}

/// A small model, its run and what the run printed and wrote.
struct TrainedModel {
  explicit TrainedModel(const TrainSettings& settings, const data::Corpus& corpus, DType dtype = DType::float32,
                        const DeepSeekConfig& config = small_model())
      : folder(std::filesystem::path(::testing::TempDir()) /
               ::testing::UnitTest::GetInstance()->current_test_info()->name()),
        model(config, generator, {dtype}) {
    std::filesystem::create_directories(folder);
    RunLog log(folder, settings.steps);
    Trainer trainer(model, corpus, settings, log);
    ::testing::internal::CaptureStdout();
    trainer.run([](std::int64_t) {});
    printed = ::testing::internal::GetCapturedStdout();
    std::ifstream in(folder / "metrics.jsonl");
    for (std::string line; std::getline(in, line);) rows.push_back(nlohmann::json::parse(line));
    std::filesystem::remove_all(folder);
  }
  bool says(const std::string& text) const { return printed.find(text) != std::string::npos; }

  std::filesystem::path folder;
  Generator generator{5};
  DeepSeekLM model;
  std::string printed;
  std::vector<nlohmann::json> rows;
};

/// Draws that the two splits share nothing of.
data::Corpus drawn_corpus() { return {drawn_tokens(400, 1), drawn_tokens(61, 2)}; }

}  // namespace

TEST(Trainer, AccumulatingMicroBatchesIsOneLargeBatch) {
  const data::Corpus corpus = drawn_corpus();
  const TrainSettings large{.steps = 3, .batch = 12, .lr = 1e-2, .warmup = 0, .validate_every = -1};
  TrainSettings small = large;
  small.batch = 3;
  small.accumulate = 4;
  const TrainedModel one(large, corpus, DType::float64), four(small, corpus, DType::float64);
  ASSERT_EQ(one.rows.size(), four.rows.size());
  for (std::size_t i = 0; i < one.rows.size(); ++i) {
    for (const char* key : {"loss", "acc", "grad_norm", "max_vio"}) {
      EXPECT_NEAR(one.rows[i][key].get<double>(), four.rows[i][key].get<double>(), 1e-9) << key;
    }
    EXPECT_EQ(one.rows[i]["expert_counts"], four.rows[i]["expert_counts"]);
  }
  const auto left = one.model.parameters(), right = four.model.parameters();
  for (std::size_t i = 0; i < left.size(); ++i) {
    const std::vector<double> a = left[i].value.to_vector(), b = right[i].value.to_vector();
    for (std::size_t j = 0; j < a.size(); ++j) EXPECT_NEAR(a[j], b[j], 1e-6) << left[i].name;
  }
}

/// By the loss of its first step, which that of a model not yet trained must be.
TEST(Trainer, DrawsWindowsAsItIsTold) {
  const data::Corpus corpus = drawn_corpus();
  for (const auto& [name, sampling] :
       {std::pair("epochs", data::Sampling::epochs), {"independent", data::Sampling::independent}}) {
    const TrainedModel run({.steps = 1, .batch = 3, .sampling = name, .seed = 4, .validate_every = -1}, corpus);
    Generator generator(5);
    DeepSeekLM fresh(small_model(), generator);
    const auto [inputs, targets] =
        data::to_device(data::RandomBatches(corpus.train, 3, 8, 4, sampling)[0], Device::cpu);
    EXPECT_FLOAT_EQ(run.rows[0]["loss"].get<float>(), static_cast<float>(fresh.loss(inputs, targets).item())) << name;
  }
}

/// Share of targets (B, T) that have the largest of their logits (B, T, V).
double share_guessed(const Tensor& logits, const Tensor& targets) {
  const auto values = logits.to_vector(), truth = targets.to_vector();
  double right = 0;
  for (std::size_t i = 0; i < truth.size(); ++i) {
    const auto first = values.begin() + static_cast<std::ptrdiff_t>(i) * vocabulary;
    right += std::max_element(first, first + vocabulary) - first == static_cast<std::ptrdiff_t>(truth[i]);
  }
  return right / static_cast<double>(truth.size());
}

/// With settings that are none of the defaults, and clipped in some steps.
TEST(Trainer, IsTheLoopWrittenOut) {
  const data::Corpus corpus = drawn_corpus();
  for (const char* name : {"adamw", "muon"}) {
    const TrainSettings s{.steps = 8,
                          .batch = 3,
                          .optimizer = name,
                          .lr = 1e-2,
                          .muon_lr = 3e-2,
                          .muon_momentum = 0.8,
                          .lr_floor = 0.2,
                          .warmup = 2,
                          .weight_decay = 0.3,
                          .beta1 = 0.7,
                          .beta2 = 0.8,
                          .clip = 2,
                          .seed = 4,
                          .log_every = 1,
                          .validate_every = -1};
    const TrainedModel run(s, corpus, DType::float64);
    Generator generator(5);
    DeepSeekLM model(small_model(), generator, {DType::float64});
    const Parameters parameters = model.parameters();
    const optim::AdamWOptions adamw = {.lr = s.lr, .beta1 = s.beta1, .beta2 = s.beta2, .weight_decay = s.weight_decay};
    std::unique_ptr<optim::Optimizer> optimizer = std::make_unique<optim::AdamW>(parameters, adamw);
    if (s.optimizer == "muon") {
      optimizer = std::make_unique<optim::Muon>(
          parameters,
          optim::MuonOptions{
              .lr = s.muon_lr, .momentum = s.muon_momentum, .weight_decay = s.weight_decay, .others = adamw});
    }
    const optim::Schedule schedule = optim::Schedule::cosine(s.lr, s.warmup, s.steps, s.lr_floor);
    const data::RandomBatches batches(corpus.train, s.batch, small_model().context, s.seed);
    int clipped = 0;
    for (std::int64_t n = 0; n < s.steps; ++n) {
      const auto [inputs, targets] = data::to_device(batches[n], Device::cpu);
      Tape tape;
      const LanguageModelLoss loss = model.losses(inputs, targets);
      tape.backward(loss.total);
      const optim::Clipped norm = optim::clip_by_global_norm(parameters, s.clip);
      clipped += norm.norm() > s.clip;
      optimizer->set_lr(schedule(n));
      optimizer->step(norm);
      const auto& row = run.rows.at(static_cast<std::size_t>(n));
      EXPECT_EQ(row["lr"].get<double>(), schedule(n)) << name << ", step " << n + 1;
      EXPECT_EQ(row["grad_norm"].get<double>(), norm.norm()) << name << ", step " << n + 1;
      EXPECT_EQ(row["acc"].get<double>(), share_guessed(loss.logits, targets)) << name << ", step " << n + 1;
      EXPECT_EQ(row["max_vio"].get<double>(), mean_max_vio(model.update_router_bias())) << name << ", step " << n + 1;
    }
    EXPECT_TRUE(clipped > 0 && clipped < s.steps)
        << clipped << " steps clipped of " << run.rows.front()["grad_norm"] << " to " << run.rows.back()["grad_norm"];
    const Parameters trained = run.model.parameters();
    for (std::size_t i = 0; i < trained.size(); ++i)
      EXPECT_EQ(trained[i].value.to_vector(), parameters[i].value.to_vector()) << name << ", " << trained[i].name;
  }
}

TEST(Trainer, MovesTheBiasOncePerOptimizerStep) {
  const TrainedModel run({.steps = 1, .batch = 3, .accumulate = 4, .warmup = 0, .validate_every = -1}, drawn_corpus());
  bool moved = false;
  for (const auto& layer : run.model.layers) {
    for (double b : layer->moe->gate.e_score_correction_bias.to_vector()) {
      EXPECT_TRUE(b == 0 || std::abs(std::abs(b) - small_model().bias_rate) < 1e-9) << b;
      moved = moved || b != 0;
    }
  }
  EXPECT_TRUE(moved);
}

TEST(Trainer, ASweepIsTheMeanOverEveryTargetOnce) {
  Generator generator(5);
  DeepSeekLM model(small_model(), generator, {DType::float64});
  const std::vector<std::int32_t> tokens = drawn_tokens(61, 2);  // 60 targets: 7 windows of 8, and 4 more
  std::int64_t last = 0, all = 0;
  const auto whole = validate(model, tokens, 3, [&](std::int64_t windows, std::int64_t of) {
    last = windows, all = of;
    return true;
  });
  const Validation sweep = whole.value_or(Validation{});
  EXPECT_TRUE(model.training());
  EXPECT_EQ(sweep.windows, 8);
  EXPECT_EQ(last, 8);
  EXPECT_EQ(all, 8);

  model.eval();
  double total = 0;
  for (std::int64_t start = 0; start < 60; start += 8) {
    const std::int64_t n = std::min<std::int64_t>(8, 60 - start);
    const auto window = [&](std::int64_t from) {
      return from_indices(std::span(tokens).subspan(static_cast<std::size_t>(from), static_cast<std::size_t>(n)),
                          {1, n});
    };
    const Tensor log_p = log_softmax(model.logits(window(start)), -1);  // (1, n, V)
    for (std::int64_t t = 0; t < n; ++t) {
      const auto target = static_cast<std::size_t>(tokens[static_cast<std::size_t>(start + t + 1)]);
      total -= log_p.slice(1, t, t + 1).to_vector()[target];
    }
  }
  EXPECT_NEAR(sweep.loss, total / 60, 1e-12);

  model.train();
  const auto again = validate(model, tokens, 3);
  model.eval();
  const std::vector<RouterStatistics> routers = model.statistics();
  ASSERT_EQ(routers.size(), 2U);
  EXPECT_EQ(routers[0].tokens, 60) << "of the last sweep alone";
  EXPECT_EQ(again ? again->max_vio : 0, (routers[0].max_vio() + routers[1].max_vio()) / 2);
  EXPECT_EQ(sweep.max_vio, again ? again->max_vio : 0);
}

TEST(Trainer, TheThirdLineShowsTheSweepOfItsOwnStep) {
  const TrainedModel run({.steps = 12, .batch = 3, .warmup = 0, .log_every = 4, .validate_every = 5}, drawn_corpus());
  std::map<std::int64_t, double> sweeps;
  for (const auto& row : run.rows) {
    if (row.contains("val_loss")) sweeps[row["step"]] = row["val_loss"];
  }
  ASSERT_EQ(sweeps.size(), 3U);  // after steps 5, 10 and 12
  std::istringstream lines(run.printed);
  std::map<std::int64_t, std::string> shown;
  std::int64_t step = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("Step ")) step = std::stoll(line.substr(5));
    if (const auto at = line.find("| Val "); at != std::string::npos) shown[step] = line.substr(at + 6);
  }
  const auto figure = [&](std::int64_t n) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.4f", sweeps.at(n));
    return std::string(text.data());
  };
  const std::map<std::int64_t, std::string> expected = {
      {1, "-"}, {4, "-"}, {5, figure(5)}, {8, figure(5) + " @5"}, {10, figure(10)}, {12, figure(12)}};
  EXPECT_EQ(shown, expected);
}

TEST(Trainer, IsNearFloat32In16Bits) {
  const TrainSettings settings{.steps = 40, .batch = 6, .lr = 1e-2, .warmup = 0};
  const TrainedModel wide(settings, drawn_corpus());
  const auto last = [](const TrainedModel& run, const char* key) {
    double value = 0;
    for (const auto& row : run.rows) value = row.value(key, value);
    return value;
  };
  for (const DType dtype : {DType::bfloat16, DType::float16}) {
    DeepSeekConfig config = small_model();
    config.dtype = dtype;
    const TrainedModel run(settings, drawn_corpus(), DType::float32, config);
    EXPECT_NEAR(last(run, "val_loss"), last(wide, "val_loss"), 0.05) << name_of(dtype);
    EXPECT_NE(last(run, "val_loss"), last(wide, "val_loss")) << name_of(dtype);
    EXPECT_NEAR(run.rows[0]["grad_norm"].get<double>() / wide.rows[0]["grad_norm"].get<double>(), 1, 0.05);
    EXPECT_FALSE(run.says("skipped"));
  }
}

TEST(Trainer, SkipsAndCountsStepsThatOverflowFloat16) {
  DeepSeekConfig config = small_model();
  config.dtype = DType::float16;
  config.context = 2;  // few targets, each with a large part of the scaled loss
  config.init_std = 2;
  const TrainSettings settings{.steps = 12, .batch = 1, .lr = 1e-3, .warmup = 0, .validate_every = -1};
  const TrainedModel run(settings, drawn_corpus(), DType::float32, config);
  std::int64_t skipped = 0;
  double scale = 65536;
  for (const auto& row : run.rows) {
    if (!row.contains("skipped")) continue;
    EXPECT_EQ(row["skipped"].get<std::int64_t>(), ++skipped);
    EXPECT_EQ(row["loss_scale"].get<double>(), scale /= 2);
  }
  EXPECT_GT(skipped, 0);
  EXPECT_LT(skipped, settings.steps);
  EXPECT_TRUE(
      run.says("Step 1 skipped: its gradients overflow float16; the loss scale is now 32768 (1 skipped so far)"))
      << run.printed;
  for (const Parameter& p : run.model.parameters()) {
    for (double value : p.value.to_vector()) ASSERT_TRUE(std::isfinite(value)) << p.name;
  }
}

/// The value of a key in a run's last row that has it.
double last_of(const std::vector<nlohmann::json>& rows, const char* key) {
  double value = std::numeric_limits<double>::quiet_NaN();
  for (const auto& row : rows) value = row.value(key, value);
  return value;
}

TEST(Trainer, ValidatesTheAverageOfTheWeightsAndTrainsAsWithoutIt) {
  TrainSettings settings{.steps = 12, .batch = 3, .lr = 1e-2, .warmup = 0, .ema_decay = 0};
  const TrainedModel plain(settings, drawn_corpus(), DType::float64);
  settings.ema_decay = 0.9;
  TrainedModel averaged(settings, drawn_corpus(), DType::float64);
  EXPECT_EQ(last_of(averaged.rows, "loss"), last_of(plain.rows, "loss"));
  EXPECT_NE(last_of(averaged.rows, "val_loss"), last_of(plain.rows, "val_loss"));

  Generator generator(5);
  DeepSeekLM model(small_model(), generator, {DType::float64});
  const std::filesystem::path folder = std::filesystem::path(::testing::TempDir()) / "average";
  std::filesystem::create_directories(folder);
  RunLog log(folder, settings.steps);
  const data::Corpus corpus = drawn_corpus();
  Trainer trainer(model, corpus, settings, log);
  optim::EMA expected(model.parameters(), settings.ema_decay);
  ::testing::internal::CaptureStdout();
  trainer.run([&](std::int64_t) { expected.update(); });
  ::testing::internal::GetCapturedStdout();
  std::filesystem::remove_all(folder);
  const auto values = model.layers[0]->moe->experts.down.to_vector();
  const auto average = [&] {
    for (const auto& [name, value] : expected.state()) {
      if (name == "layers.0.mlp.experts.down.ema") return value.to_vector();
    }
    return std::vector<double>();
  }();
  trainer.with_averages([&] { EXPECT_EQ(model.layers[0]->moe->experts.down.to_vector(), average); });
  EXPECT_EQ(model.layers[0]->moe->experts.down.to_vector(), values);
  EXPECT_NE(average, values);
  const optim::Averaged now(expected);
  const auto sweep = validate(model, corpus.validation, settings.batch);
  EXPECT_EQ(sweep ? sweep->loss : 0, last_of(averaged.rows, "val_loss"));
}

TEST(Trainer, LearnsWithMuonInAnyDType) {
  TrainSettings settings{.steps = 40, .batch = 6, .optimizer = "muon", .lr = 1e-2, .warmup = 0};
  const data::Corpus corpus = drawn_corpus(), seen = {corpus.train, corpus.train};
  const TrainedModel run(settings, seen);
  EXPECT_LT(last_of(run.rows, "val_loss"), run.rows[0]["loss"].get<double>() - 0.1);
  for (auto* setting : {&settings.muon_iterations, &settings.muon_block}) {
    const std::int64_t before = std::exchange(*setting, 4);
    EXPECT_NE(last_of(TrainedModel(settings, seen).rows, "val_loss"), last_of(run.rows, "val_loss"));
    *setting = before;
  }
  settings.muon_dtype = "bf16";
  EXPECT_NEAR(last_of(TrainedModel(settings, seen).rows, "val_loss"), last_of(run.rows, "val_loss"), 0.05);
  settings.optimizer = "adamw";
  EXPECT_NE(last_of(TrainedModel(settings, seen).rows, "val_loss"), last_of(run.rows, "val_loss"));
}

TEST(Trainer, NeverSweepsWhereToldSo) {
  const TrainedModel run({.steps = 2, .batch = 3, .warmup = 0, .validate_every = -1}, drawn_corpus());
  for (const auto& row : run.rows) EXPECT_FALSE(row.contains("val_loss"));
  EXPECT_FALSE(run.says("Validation"));
}

TEST(Trainer, EndsWhereAWeightThatNoLossSeesIsNotFinite) {
  const std::filesystem::path folder = std::filesystem::path(::testing::TempDir()) / "unseen-weight";
  std::filesystem::create_directories(folder);
  Generator generator(5);
  DeepSeekConfig config = folio::testing::small_config(vocabulary + 1);  // no text has the last character,
  config.tie_embeddings = false;                                         // so that no loss depends on its embedding
  DeepSeekLM model(config, generator);
  const data::Corpus corpus = drawn_corpus();
  const TrainSettings settings{.steps = 30, .batch = 3, .warmup = 0, .log_every = 10, .sample_every = 4};
  const auto spoil = [&](double value) { model.embed_tokens.weight.slice(0, vocabulary, vocabulary + 1).fill(value); };
  const auto message_of_run = [&](std::int64_t spoilt_after, std::int64_t stopped_after) -> std::string {
    spoil(0);
    std::int64_t done = 0;
    RunLog log(folder, settings.steps);
    Trainer trainer(model, corpus, settings, log, [&] { return done == stopped_after; });
    try {
      trainer.run([&](std::int64_t n) {
        done = n;
        if (n == spoilt_after) spoil(std::numeric_limits<double>::quiet_NaN());
      });
    } catch (const Diverged& error) {
      return error.what();
    }
    return "finite";
  };
  ::testing::internal::CaptureStdout();
  const std::string unspoilt = message_of_run(0, 2), before_a_sample = message_of_run(2, 30),
                    before_a_log_line = message_of_run(8, 30), before_the_weights_are_saved = message_of_run(2, 2);
  ::testing::internal::GetCapturedStdout();
  std::filesystem::remove_all(folder);
  EXPECT_EQ(unspoilt, "finite");
  EXPECT_TRUE(before_a_sample.starts_with("step 4: 'embed_tokens.weight' is not finite")) << before_a_sample;
  EXPECT_TRUE(before_a_log_line.starts_with("step 10: 'embed_tokens.weight'")) << before_a_log_line;
  EXPECT_TRUE(before_the_weights_are_saved.starts_with("step 2: ")) << before_the_weights_are_saved;
}

TEST(Trainer, SaysSoWhenItOverfits) {
  const data::Corpus corpus = {drawn_tokens(60, 1), drawn_tokens(61, 2)};
  const TrainSettings settings{.steps = 120, .batch = 4, .lr = 2e-2, .warmup = 0, .validate_every = 20};
  const TrainedModel run(settings, corpus);
  EXPECT_TRUE(run.says("overfitting: validation ")) << run.printed;
  EXPECT_LT(run.rows.back()["best_val_loss"].get<double>(), run.rows.back()["val_loss"].get<double>());

  const data::Corpus same = {corpus.train, corpus.train};  // what is learnt holds in the other split
  EXPECT_FALSE(TrainedModel(settings, same).says("overfitting"));
}

}  // namespace folio::examples
