#include "nn/sampling.hpp"

#include <cmath>
#include <set>

#include "tests/nn/module_cases.hpp"
#include "tests/shares.hpp"

namespace folio::testing {
namespace {

const std::vector<double> logits = {std::log(0.1), std::log(0.4), std::log(0.2), std::log(0.3)};

/// Shares of each token over evenly spaced u.
std::vector<double> shares_of(const SamplingOptions& options) {
  std::vector<double> count(logits.size(), 0);
  for (int i = 0; i < 1000; ++i)
    count[static_cast<std::size_t>(sample_token(logits, options, (i + 0.5) / 1000))] += 0.001;
  return count;
}

void expect_shares(const SamplingOptions& options, const std::vector<double>& expected) {
  const auto found = shares_of(options);
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(found[i], expected[i], 0.0015) << "token " << i;
}

std::unique_ptr<DeepSeekLM> model_of(std::uint64_t seed) {
  Draw draw(seed);
  Generator g(seed);
  auto model = std::make_unique<DeepSeekLM>(small_config(), g, Options{DType::float64});
  randomize(*model, draw);
  return model;
}

using Ids = std::vector<std::int32_t>;

}  // namespace

TEST(SampleToken, FollowsTheDistribution) {
  expect_shares({}, {0.1, 0.4, 0.2, 0.3});
  expect_shares({.temperature = 0.5}, {0.01 / 0.3, 0.16 / 0.3, 0.04 / 0.3, 0.09 / 0.3});
  expect_shares({.top_k = 2}, {0, 4.0 / 7, 0, 3.0 / 7});
  expect_shares({.top_k = 99}, {0.1, 0.4, 0.2, 0.3});
  expect_shares({.top_p = 0.65}, {0, 4.0 / 7, 0, 3.0 / 7});
  expect_shares({.top_p = 0.75}, {0, 4.0 / 9, 2.0 / 9, 3.0 / 9});
  expect_shares({.top_p = 1e-9}, {0, 1, 0, 0});
  expect_shares({.temperature = 0}, {0, 1, 0, 0});
}

TEST(SampleToken, BreaksTiesTowardTheLowestId) {
  const std::vector<double> tied = {1, 3, 3, 3};
  EXPECT_EQ(sample_token(tied, {.temperature = 0}, 0.99), 1);
  EXPECT_EQ(sample_token(tied, {.top_k = 1}, 0.99), 1);
}

TEST(SampleToken, RefusesWhatIsNoDistribution) {
  EXPECT_THROW(sample_token({}, {}, 0), Error);
  EXPECT_THROW(sample_token(std::vector<double>{1, NAN}, {}, 0), Error);
  EXPECT_THROW(sample_token(std::vector<double>{1, INFINITY}, {}, 0), Error);
  EXPECT_THROW(sample_token(std::vector<double>{-INFINITY}, {}, 0), Error);
  EXPECT_THROW(sample_token(logits, {.temperature = -1}, 0), Error);
  EXPECT_THROW(sample_token(logits, {.top_k = -1}, 0), Error);
  EXPECT_THROW(sample_token(logits, {.top_p = 0}, 0), Error);
  EXPECT_EQ(sample_token(std::vector<double>{-INFINITY, 0}, {}, 0), 1);
}

FOLIO_PROPERTY(Generate, TheCacheChangesNoTokenWithinTheContext) {
  const auto model = model_of(seed);
  Draw draw(seed);
  const std::int64_t context = model->config().context, start = draw.integer(1, context - 1);
  Ids prompt;
  for (std::int64_t i = 0; i < start; ++i) prompt.push_back(static_cast<std::int32_t>(draw.integer(0, 10)));
  const RandomStream stream = draw.stream();
  const Ids cached = generate(*model, prompt, context - start + 1, {.sampling = {.temperature = 0.8}}, stream);
  const Ids plain =
      generate(*model, prompt, context - start + 1, {.sampling = {.temperature = 0.8}, .cache = false}, stream);
  RC_ASSERT(cached == plain);
  shares.note("primed with several tokens", start > 1, 60);
  shares.note("of several new tokens", cached.size() > 2, 60);
  shares.note("of differing tokens", std::set<std::int32_t>(cached.begin(), cached.end()).size() > 1, 60);
  RC_ASSERT(static_cast<std::int64_t>(cached.size()) == context - start + 1);
}

TEST(Generate, GoesOnPastTheContextAndPrimesWithHalfOfIt) {
  const auto model = model_of(1);
  const std::int64_t context = model->config().context;
  const RandomStream stream = {1, 2};
  const Ids prompt = {1, 2, 3};
  const Ids text = generate(*model, prompt, 60, {}, stream);
  EXPECT_EQ(text.size(), 60U);
  // With three prompt tokens the cache is full once context − 3 + 1 tokens were drawn; the next one sees the last half.
  Ids seen = prompt;
  seen.insert(seen.end(), text.begin(), text.begin() + (context - 3 + 1));
  const Ids half(seen.end() - context / 2, seen.end());
  model->eval();
  const Tensor logits_of_half = model->logits(from_indices(half, {1, context / 2}));
  const auto last = logits_of_half.slice(1, context / 2 - 1, context / 2).to_vector();
  EXPECT_EQ(text[static_cast<std::size_t>(context - 3 + 1)], sample_token(last, {}, stream.uniform(context - 3 + 1)));
  EXPECT_EQ(generate(*model, prompt, 60, {.cache = false}, stream).size(), 60U);
  const Ids long_prompt(40, 5);
  EXPECT_EQ(generate(*model, long_prompt, 1, {}, stream), generate(*model, Ids(16, 5), 1, {.cache = false}, stream));
}

TEST(Generate, TakesRoomForTheTokensToComeWhateverTheContext) {
  DeepSeekConfig c = small_config();
  c.context = 1 << 24;
  Generator g(1);
  DeepSeekLM model(c, g);
  reset_peak_memory();
  const std::size_t before = memory_statistics().peak;
  EXPECT_EQ(generate(model, Ids{1, 2}, 5, {}, {1, 2}).size(), 5U);
  EXPECT_LT(memory_statistics().peak - before, 1U << 20);
}

TEST(Generate, StreamsItsTokensAndStopsWhenTold) {
  const auto model = model_of(1);
  Ids streamed;
  const Ids text = generate(*model, Ids{1}, 10, {}, {1, 2}, [&](std::int32_t id) {
    streamed.push_back(id);
    return streamed.size() < 4;
  });
  EXPECT_EQ(text.size(), 4U);
  EXPECT_EQ(streamed, text);
  EXPECT_NE(generate(*model, Ids{1}, 10, {}, {1, 3}), generate(*model, Ids{1}, 10, {}, {1, 2}));
}

TEST(Generate, LeavesTheModelInItsModeAndChecksItsArguments) {
  const auto model = model_of(1);
  model->layers[0]->eval();
  generate(*model, Ids{1}, 2, {}, {1, 2});
  EXPECT_TRUE(model->training());
  EXPECT_FALSE(model->layers[0]->training());
  model->train();
  EXPECT_EQ(model->statistics()[0].tokens, 0) << "training counts are untouched";
  EXPECT_THROW(generate(*model, Ids{1}, -1, {}, {1, 2}), Error);
  EXPECT_EQ(generate(*model, Ids{1}, 0, {}, {1, 2}), Ids{});
  EXPECT_THROW(generate(*model, Ids{}, 2, {}, {1, 2}), Error);
  EXPECT_THROW(generate(*model, Ids{11}, 2, {}, {1, 2}), Error);
  EXPECT_THROW(generate(*model, Ids{1}, 2, {.sampling = {.top_p = 2}}, {1, 2}), Error);
  EXPECT_TRUE(model->training());
}

}  // namespace folio::testing
