#include "examples/profile_report.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <regex>
#include <sstream>

#include "autograd/error.hpp"
#include "examples/trainer.hpp"
#include "tests/nn/small_config.hpp"

namespace folio::examples {
namespace {

constexpr std::int64_t vocabulary = 7;

/// Profiles a small model's training.
class ProfileReport : public ::testing::Test {
 protected:
  void train(std::int64_t steps) {
    std::filesystem::create_directories(folder);
    std::vector<std::int32_t> tokens(200);
    for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<std::int32_t>(i * i % vocabulary);
    const data::Corpus corpus = {tokens, tokens};
    Generator generator(5);
    DeepSeekLM model(folio::testing::small_config(vocabulary), generator);
    RunLog log(folder, steps);
    ::testing::internal::CaptureStdout();
    Trainer(model, corpus, {.steps = steps, .batch = 3, .warmup = 0}, log).run([](std::int64_t) {});
    ::testing::internal::GetCapturedStdout();
  }
  void TearDown() override { std::filesystem::remove_all(folder); }

  std::filesystem::path folder = std::filesystem::path(::testing::TempDir()) / "profile_report";
  Profile profile;
};

}  // namespace

TEST_F(ProfileReport, LeavesOutTheFirstStepAndTheSweep) {
  train(3);
  for (const char* part : {"batch", "forward", "backward", "metrics", "clip", "optimizer", "router bias"}) {
    EXPECT_EQ(profile.total(Span::Kind::section, part).calls, 2) << part;
  }
  EXPECT_EQ(profile.total(Span::Kind::forward, "cross_entropy").calls, 2) << "a sweep is no step";
}

TEST_F(ProfileReport, TheTraceHoldsEverySpan) {
  train(3);
  save_trace(profile, folder / "trace.json");
  std::ifstream in(folder / "trace.json");
  const auto trace = nlohmann::json::parse(in);
  std::map<std::pair<std::string, std::string>, double> microseconds;
  for (const auto& event : trace.at("traceEvents")) {
    EXPECT_EQ(event.at("ph"), "X");
    EXPECT_GE(event.at("ts").get<double>(), 0);
    microseconds[{event.at("cat"), event.at("name")}] += event.at("dur").get<double>();
  }
  for (const char* way : {"forward", "backward"}) {
    const auto kind = std::string(way) == "forward" ? Span::Kind::forward : Span::Kind::backward;
    for (const char* op : {"linear", "expert_matmul", "causal_attention", "rms_norm", "cross_entropy"}) {
      const Profile::Total total = profile.total(kind, op);
      const double expected = 1e6 * total.seconds, rounding = 1e-3 * static_cast<double>(total.calls);
      EXPECT_GT(expected, 0) << op;
      EXPECT_NEAR((microseconds[{way, op}]), expected, rounding) << op << " " << way;
    }
  }
  EXPECT_GT((microseconds[{"kernel outside ops", "adamw"}]), 0);
}

TEST_F(ProfileReport, TheTablesSharesAddUp) {
  train(4);
  std::istringstream table(profile_table(profile, 3));
  const std::regex line(R"(^(section )?(.*?) +([0-9.]+) +([0-9.]+) %.*)");
  double ops = 0, sections = 0;
  std::map<std::string, double> milliseconds;
  int rows = 0;
  for (std::string text; std::getline(table, text);) {
    std::smatch found;
    if (!std::regex_match(text, found, line)) continue;
    ++rows;
    milliseconds[found[1].str() + found[2].str()] = std::stod(found[3]);
    (found[1].matched ? sections : ops) += std::stod(found[4]);
  }
  EXPECT_NEAR(ops, 100, 0.05 * rows + 0.1);
  EXPECT_NEAR(sections, 100, 0.5);
  const double linear =
      profile.total(Span::Kind::forward, "linear").seconds + profile.total(Span::Kind::backward, "linear").seconds;
  EXPECT_NEAR(milliseconds["linear"], 1e3 * linear / 3, 0.0006);
  EXPECT_TRUE(milliseconds.contains("(adamw)"));
  EXPECT_TRUE(milliseconds.contains("outside ops"));
}

TEST_F(ProfileReport, ATraceThatCannotBeWrittenIsAnError) {
  EXPECT_THROW(save_trace(profile, folder / "nowhere" / "trace.json"), Error);
}

}  // namespace folio::examples
