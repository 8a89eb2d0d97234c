#include "data/batches.hpp"

#include <algorithm>
#include <map>
#include <range/v3/range/conversion.hpp>
#include <range/v3/view/chunk.hpp>
#include <range/v3/view/drop.hpp>
#include <range/v3/view/drop_last.hpp>
#include <range/v3/view/iota.hpp>
#include <range/v3/view/sliding.hpp>
#include <range/v3/view/transform.hpp>

#include "data/prefetched_batches.hpp"
#include "data/shuffle.hpp"
#include "tests/data/generators.hpp"
#include "tests/data/support.hpp"

namespace folio::data {
namespace {

namespace views = ranges::views;
using Tokens = std::vector<std::int32_t>;

/// Tokens that are their own positions.
Tokens positions(std::int64_t n) { return views::iota(0, static_cast<std::int32_t>(n)) | ranges::to<Tokens>; }

/// The rows of a (batch, context) array.
std::vector<Tokens> rows(const Tokens& tokens, std::int64_t context) {
  return tokens | views::chunk(context) | views::transform([](auto&& row) { return row | ranges::to<Tokens>; }) |
         ranges::to<std::vector>;
}

bool same(const Batch& a, const Batch& b) {
  return a.inputs == b.inputs && a.targets == b.targets && a.batch == b.batch && a.context == b.context;
}

void note_sweep(testing::Shares& shares, const SequentialBatches& sweep, std::int64_t n, std::int64_t context) {
  shares.note("of several batches", sweep.size() > 1, 60);
  shares.note("of several rows in a batch", sweep.size() > 0 && sweep[0].batch > 1, 30);
  shares.note("with a rest", (n - 1) % context != 0, 50);
  shares.note("without one", (n - 1) % context == 0, 5);
}

Sampling draw_sampling() { return *rc::gen::element(Sampling::independent, Sampling::epochs); }

bool shaped(const Batch& batch) {
  const auto size = static_cast<std::size_t>(batch.batch * batch.context);
  return batch.batch > 0 && batch.context > 0 && batch.inputs.size() == size && batch.targets.size() == size;
}

FOLIO_PROPERTY(RandomBatches, HoldsWindowsOfTheTextAndWhatFollowsEachToken) {
  const auto context = *rc::gen::inRange<std::int64_t>(1, 40);
  const Tokens tokens = *rc::gen::container<Tokens>(static_cast<std::size_t>(context + *rc::gen::inRange(1, 60)),
                                                    rc::gen::inRange<std::int32_t>(0, 5));
  const auto batch = *rc::gen::inRange<std::int64_t>(1, 9);
  const auto step = *rc::gen::inRange<std::int64_t>(0, 1'000'000'000);
  const Sampling sampling = draw_sampling();
  const RandomBatches batches(tokens, batch, context, *rc::gen::arbitrary<std::uint64_t>(), sampling);

  const auto windows = tokens | views::sliding(context + 1) |
                       views::transform([](auto&& window) { return window | ranges::to<Tokens>; }) |
                       ranges::to<std::vector>;
  shares.note("of a context of several tokens", context > 1, 80);
  shares.note("of several rows", batch > 1, 60);
  shares.note("with a choice of windows", windows.size() > 1, 80);
  shares.note("behind the first step", step > 0, 80);
  shares.note("in epochs", sampling == Sampling::epochs, 30);
  const Batch drawn = batches[step];
  const auto starts = batches.starts(step);
  RC_ASSERT(shaped(drawn) && drawn.batch == batch && drawn.context == context && std::ssize(starts) == batch);
  const auto inputs = rows(drawn.inputs, context);
  const auto targets = rows(drawn.targets, context);
  for (std::size_t r = 0; r < starts.size(); ++r) {
    const auto start = static_cast<std::size_t>(starts[r]);
    RC_ASSERT(starts[r] >= 0 && start < windows.size());
    RC_ASSERT(inputs[r] == (windows[start] | views::drop_last(1) | ranges::to<Tokens>));
    RC_ASSERT(targets[r] == (windows[start] | views::drop(1) | ranges::to<Tokens>));
  }
}

FOLIO_PROPERTY(RandomBatches, AreAFunctionOfSeedStreamAndStepAlone) {
  const Tokens tokens = positions(100'000);
  const auto stream = *rc::gen::arbitrary<std::uint64_t>();
  const auto step = *rc::gen::inRange<std::int64_t>(1, 1'000'000);
  const Sampling sampling = draw_sampling();
  shares.note("in epochs", sampling == Sampling::epochs, 30);
  shares.note("of another stream than the first", stream != 0, 80);
  shares.note("behind the first steps", step > 2, 80);
  const RandomBatches batches(tokens, 8, 16, seed, sampling, stream);
  const Batch drawn = batches[step];
  (void)batches[step - 1];  // what was drawn before does not matter
  RC_ASSERT(same(drawn, batches[step]));
  RC_ASSERT(same(drawn, RandomBatches(tokens, 8, 16, seed, sampling, stream)[step]));
  RC_ASSERT(!same(drawn, batches[step - 1]));
  RC_ASSERT(!same(drawn, RandomBatches(tokens, 8, 16, seed + 1, sampling, stream)[step]));
  RC_ASSERT(!same(drawn, RandomBatches(tokens, 8, 16, seed, sampling, stream + 1)[step]));
}

FOLIO_PROPERTY(RandomBatches, TwoHalvesAreTheWhole) {
  const Tokens tokens = positions(5'000);
  const auto half = *rc::gen::inRange<std::int64_t>(1, 9);
  const auto step = *rc::gen::inRange<std::int64_t>(0, 10'000);
  shares.note("of several rows in a half", half > 1, 60);
  shares.note("behind the first step", step > 0, 80);
  const Sampling sampling = draw_sampling();
  shares.note("in epochs", sampling == Sampling::epochs, 30);
  const RandomBatches halves(tokens, half, 4, seed, sampling);
  auto starts = halves.starts(2 * step);
  const auto second = halves.starts(2 * step + 1);
  starts.insert(starts.end(), second.begin(), second.end());
  RC_ASSERT(starts == RandomBatches(tokens, 2 * half, 4, seed, sampling).starts(step));
}

TEST(RandomBatches, StartWherePhiloxsPublishedVectorSays) {
  // Random123's kat_vectors: philox4x32 10, counter 0, key 0 → 6627e8d5 e169c58d bc57ac4c 9b00dbd8.
  const Tokens tokens = positions(1'001);
  EXPECT_EQ(RandomBatches(tokens, 2, 1, 0, Sampling::independent, 0).starts(0),
            (std::vector<std::int64_t>{0x6627e8d5LL * 1000 >> 32, 0xbc57ac4cLL * 1000 >> 32}));
}

TEST(RandomBatches, StartAnywhereWithTheSameProbability) {
  const Tokens tokens = positions(27);  // 20 places for windows of 7
  const RandomBatches batches(tokens, 16, 7, 42);
  std::map<std::int64_t, int> counts;
  for (std::int64_t step = 0; step < 1'000; ++step) {
    for (const auto start : batches.starts(step)) {
      ++counts[start];
    }
  }
  ASSERT_EQ(counts.size(), 20u);
  EXPECT_EQ(counts.begin()->first, 0);
  EXPECT_EQ(counts.rbegin()->first, 19);
  double chi_squared = 0;
  for (const auto& [start, count] : counts) {
    chi_squared += (count - 800.0) * (count - 800.0) / 800.0;
  }
  EXPECT_LT(chi_squared, 43.8);  // 19 degrees of freedom, one in a thousand
}

/// Each epoch's windows, sorted, lie side by side; and their order is another one in the next.
FOLIO_PROPERTY(RandomBatches, HoldEachWindowOfAnEpochOnce) {
  const auto context = *rc::gen::inRange<std::int64_t>(1, 9);
  const auto n = *rc::gen::inRange<std::int64_t>(context + 1, 400);
  const Tokens tokens = positions(n);
  const RandomBatches batches(tokens, 1, context, seed, Sampling::epochs);
  const std::int64_t windows = batches.windows_per_epoch();
  const auto epoch = *rc::gen::inRange<std::int64_t>(0, 1'000);
  shares.note("of many windows", windows > 20, 40);
  shares.note("of one", windows == 1, 1);
  RC_ASSERT(windows >= 1 && n - 1 - windows * context < 2 * context);
  const auto starts_of = [&](std::int64_t e) {
    std::vector<std::int64_t> starts;
    for (std::int64_t i = e * windows; i < (e + 1) * windows; ++i) starts.push_back(batches.starts(i).front());
    return starts;
  };
  auto starts = starts_of(epoch);
  const auto places = [&](const std::vector<std::int64_t>& all) {
    const std::int64_t first = *std::ranges::min_element(all);
    return all | views::transform([&](std::int64_t start) { return (start - first) / context; }) |
           ranges::to<std::vector>;
  };
  if (windows > 20) RC_ASSERT(places(starts) != places(starts_of(epoch + 1)));
  std::ranges::sort(starts);
  RC_ASSERT(starts.front() >= 0 && starts.back() + context < n);
  for (std::size_t i = 1; i < starts.size(); ++i) RC_ASSERT(starts[i] == starts[i - 1] + context);
}

TEST(RandomBatches, BeginEpochsAtEveryPlaceThatLeavesRoomForTheirWindows) {
  const Tokens tokens = positions(27);
  const RandomBatches batches(tokens, 1, 7, 42, Sampling::epochs);
  const std::int64_t windows = batches.windows_per_epoch();
  std::map<std::int64_t, int> firsts;
  for (std::int64_t epoch = 0; epoch < 500; ++epoch) {
    std::int64_t first = 27;
    for (std::int64_t i = 0; i < windows; ++i) first = std::min(first, batches.starts(epoch * windows + i).front());
    ++firsts[first];
  }
  EXPECT_EQ(firsts.begin()->first, 0);
  EXPECT_EQ(firsts.rbegin()->first, 26 - windows * 7);
  EXPECT_EQ(std::ssize(firsts), 27 - windows * 7);
}

/// Over epochs, each window takes each place equally often.
TEST(RandomBatches, ShuffleEpochsEvenly) {
  constexpr std::int64_t n = 11;
  constexpr int epochs = 2'200;
  std::map<std::pair<std::int64_t, std::int64_t>, int> counts;
  for (int epoch = 0; epoch < epochs; ++epoch)
    for (std::int64_t i = 0; i < n; ++i) ++counts[{i, shuffled(i, n, {7, 8}, epoch)}];
  ASSERT_EQ(counts.size(), static_cast<std::size_t>(n * n));
  double chi_squared = 0;
  for (const auto& [places, count] : counts) chi_squared += (count - 200.0) * (count - 200.0) / 200.0;
  EXPECT_LT(chi_squared, 149.4);  // 100 degrees of freedom, one in a thousand
}

FOLIO_PROPERTY(SequentialBatches, PredictsEveryTargetOfTheTextExactlyOnceAndInOrder) {
  const auto n = *rc::gen::inRange<std::int64_t>(2, 300);
  const auto batch = *rc::gen::inRange<std::int64_t>(1, 9);
  const auto context = *rc::gen::inRange<std::int64_t>(1, 80);
  const Tokens tokens = positions(n);
  const SequentialBatches sweep(tokens, batch, context);
  note_sweep(shares, sweep, n, context);

  std::vector<Tokens> inputs;
  std::vector<Tokens> targets;
  for (std::int64_t i = 0; i < sweep.size(); ++i) {
    const Batch part = sweep[i];
    RC_ASSERT(shaped(part));
    RC_ASSERT(part.batch <= batch && part.context <= context);
    RC_ASSERT(part.context == context || (i == sweep.size() - 1 && part.batch == 1));
    for (const auto& row : rows(part.inputs, part.context)) {
      inputs.push_back(row);
    }
    for (const auto& row : rows(part.targets, part.context)) {
      targets.push_back(row);
    }
  }
  RC_ASSERT(inputs == rows(tokens | views::drop_last(1) | ranges::to<Tokens>, context));
  RC_ASSERT(targets == rows(tokens | views::drop(1) | ranges::to<Tokens>, context));
  RC_ASSERT(sweep.targets() == n - 1);
}

FOLIO_PROPERTY(SequentialBatches, TakesAsFewBatchesAsItCan) {
  const auto n = *rc::gen::inRange<std::int64_t>(2, 300);
  const auto batch = *rc::gen::inRange<std::int64_t>(1, 9);
  const auto context = *rc::gen::inRange<std::int64_t>(1, 80);
  const Tokens tokens = positions(n);
  const std::int64_t windows = (n - 1) / context;
  const std::int64_t rest = (n - 1) % context == 0 ? 0 : 1;
  const SequentialBatches sweep(tokens, batch, context);
  note_sweep(shares, sweep, n, context);
  RC_ASSERT(sweep.size() == (windows + batch - 1) / batch + rest);
}

TEST(SequentialBatches, OfTinyShakespearesValidationText) {
  const Tokens tokens(111'540);
  const SequentialBatches sweep(tokens, 16, 256);  // 435 windows in 28 batches, and 179 targets more
  EXPECT_EQ(sweep.size(), 29);
  EXPECT_EQ(sweep[27].batch, 3);
  EXPECT_EQ(sweep[28].context, 179);
}

TEST(Batches, RefuseWhatHoldsNoWindow) {
  const Tokens tokens = positions(64);
  const auto random = [&](std::int64_t batch, std::int64_t context) {
    return error_of([&] { RandomBatches(tokens, batch, context, 1); });
  };
  EXPECT_EQ(random(1, 63), "");
  EXPECT_TRUE(contains(random(1, 64), "64 tokens where a context of 64 needs 65")) << random(1, 64);
  EXPECT_TRUE(contains(random(0, 8), "batch 0"));
  EXPECT_TRUE(contains(random(1, -8), "context -8"));
  const Tokens one = positions(1);
  EXPECT_TRUE(contains(error_of([&] { SequentialBatches(one, 1, 8); }), "1 tokens"));
  const SequentialBatches sweep(tokens, 4, 8);
  EXPECT_TRUE(contains(error_of([&] { (void)sweep[sweep.size()]; }), "no batch"));
  EXPECT_TRUE(contains(error_of([&] { (void)sweep[-1]; }), "no batch -1"));
}

FOLIO_PROPERTY(PrefetchedBatches, AreTheDrawnOnesWhateverStepsAreAskedFor) {
  auto steps = *rc::gen::arbitrary<std::vector<std::uint8_t>>();
  const Tokens text = positions(50);
  const RandomBatches drawn(text, 3, 4, 7);
  PrefetchedBatches batches(drawn, Device::cpu);
  for (std::size_t i = 0; i < steps.size(); i += 2) steps.insert(steps.begin() + i + 1, steps[i] + 1);  // some in order
  std::ptrdiff_t in_order = 0;
  for (std::size_t i = 1; i < steps.size(); ++i) in_order += steps[i] == steps[i - 1] + 1;
  shares.note("with steps in order", in_order > 0, 80);
  shares.note("with a step elsewhere", in_order + 1 < std::ssize(steps), 80);
  for (const std::uint8_t step : steps) {
    const DeviceBatch got = batches[step];
    const Batch expected = drawn[step];
    RC_ASSERT(got.inputs.shape() == Shape({3, 4}));
    RC_ASSERT(got.inputs.to_vector() == std::vector<double>(expected.inputs.begin(), expected.inputs.end()));
    RC_ASSERT(got.targets.to_vector() == std::vector<double>(expected.targets.begin(), expected.targets.end()));
  }
}

}  // namespace
}  // namespace folio::data
