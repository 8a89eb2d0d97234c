#include <cmath>

#include "autograd/autograd.hpp"
#include "nn/deepseek_mla.hpp"
#include "tests/error_of.hpp"
#include "tests/nn/module_cases.hpp"
#include "tests/shares.hpp"

namespace folio::testing {
namespace {

struct Variant {
  const char* name;
  RotaryKey key;
  RopePairs pairs;
  std::int64_t q_lora;
};
constexpr Variant variants[] = {{"v3", RotaryKey::shared, RopePairs::interleaved, 5},
                                {"reference", RotaryKey::per_head, RopePairs::rotate_half, 5},
                                {"one q", RotaryKey::shared, RopePairs::rotate_half, 0},
                                {"one q, per head", RotaryKey::per_head, RopePairs::interleaved, 0}};

DeepSeekConfig config_of(const Variant& v) {
  DeepSeekConfig c = small_config();
  c.rotary_key = v.key;
  c.rope_pairs = v.pairs;
  c.q_lora_rank = v.q_lora;
  return c;
}

std::unique_ptr<DeepSeekMLA> module_of(const DeepSeekConfig& c, Draw& draw, DType dtype = DType::float64) {
  Generator g(draw.stream().key);
  auto module = std::make_unique<DeepSeekMLA>(c, g, Options{dtype});
  randomize(*module, draw);
  return module;
}

void note_variant(Shares& shares, const Variant& v) {
  shares.note("with queries compressed", v.q_lora > 0, 100);
  shares.note("with one rotary key per head", v.key == RotaryKey::per_head, 100);
  shares.note("with halves rotated", v.pairs == RopePairs::rotate_half, 100);
}

/// Attention reads its queries in blocks of this many.
constexpr std::int64_t block = 64;

/// A few tokens, and now and then more than a block of queries.
std::int64_t drawn_length(Draw& draw, std::int64_t low, std::int64_t high) {
  return draw.chance(0.15) ? draw.integer(block + 1, block + 9) : draw.integer(low, high);
}

double largest_difference(const Tensor& a, const Tensor& b) {
  const auto x = a.to_vector(), y = b.to_vector();
  double largest = x.size() == y.size() ? 0 : INFINITY;
  for (std::size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
    const double d = std::abs(x[i] - y[i]);
    largest = std::isnan(d) ? INFINITY : std::max(largest, d);
  }
  return largest;
}

/// x with every value of token t replaced.
Tensor with_token_changed(const Tensor& x, std::int64_t t) {
  Tensor y = x.clone();
  y.slice(1, t, t + 1).fill(0.37);
  return y;
}

// ── MLA once more, in loops over doubles, straight from the paper ────────────────────────────────────────────────────
using Rows = std::vector<std::vector<double>>;

Rows rows_of(const Tensor& matrix) {
  const auto flat = matrix.to_vector();
  Rows rows;
  const auto width = static_cast<std::size_t>(matrix.dim(-1));
  for (std::size_t i = 0; i < flat.size(); i += width) {
    rows.emplace_back(flat.begin() + static_cast<std::ptrdiff_t>(i),
                      flat.begin() + static_cast<std::ptrdiff_t>(i + width));
  }
  return rows;
}

std::vector<double> times(const Tensor& weight, const std::vector<double>& x) {
  std::vector<double> y;
  for (const auto& row : rows_of(weight)) {
    double total = 0;
    for (std::size_t i = 0; i < x.size(); ++i) total += row[i] * x[i];
    y.push_back(total);
  }
  return y;
}

std::vector<double> normed(const RMSNorm& norm, std::vector<double> x, double eps) {
  const auto w = norm.weight.to_vector();
  double square = 0;
  for (double v : x) square += v * v;
  const double r = 1 / std::sqrt(square / static_cast<double>(x.size()) + eps);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] *= r * w[i];
  return x;
}

std::vector<double> part(const std::vector<double>& x, std::int64_t begin, std::int64_t count) {
  return {x.begin() + begin, x.begin() + begin + count};
}

std::vector<double> turned(std::vector<double> x, std::size_t t, const DeepSeekConfig& c) {
  const std::size_t pairs = x.size() / 2;
  for (std::size_t i = 0; i < pairs; ++i) {
    const double angle =
        static_cast<double>(t) * std::pow(c.rope_base, -2.0 * static_cast<double>(i) / static_cast<double>(x.size()));
    const bool interleaved = c.rope_pairs == RopePairs::interleaved;
    double& a = x[interleaved ? 2 * i : i];
    double& b = x[interleaved ? 2 * i + 1 : i + pairs];
    const double a_before = a;
    a = a_before * std::cos(angle) - b * std::sin(angle);
    b = b * std::cos(angle) + a_before * std::sin(angle);
  }
  return x;
}

/// One sequence.
Rows plain_mla(const DeepSeekMLA& m, const DeepSeekConfig& c, const Rows& x) {
  const std::int64_t heads = c.num_attention_heads, nope = c.nope_head_dim, rope = c.rope_head_dim, wide = c.v_head_dim;
  Rows q, latent, shared;
  for (std::size_t t = 0; t < x.size(); ++t) {
    q.push_back(m.q ? times(m.q->weight, x[t])
                    : times(m.q_b->weight, normed(*m.q_a_norm, times(m.q_a->weight, x[t]), c.rms_norm_eps)));
    const auto down = times(m.kv_a.weight, x[t]);
    latent.push_back(normed(m.kv_a_norm, part(down, 0, c.kv_lora_rank), c.rms_norm_eps));
    if (!m.w_ur) shared.push_back(turned(part(down, c.kv_lora_rank, rope), t, c));
  }
  Rows result;
  for (std::size_t t = 0; t < x.size(); ++t) {
    std::vector<double> y;
    for (std::int64_t h = 0; h < heads; ++h) {
      const auto q_h = part(q[t], h * (nope + rope), nope + rope);
      const auto q_rope = turned(part(q_h, nope, rope), t, c);
      std::vector<double> p;
      double total = 0;
      Rows values;
      for (std::size_t s = 0; s <= t; ++s) {
        const auto kv = part(times(m.kv_b.weight, latent[s]), h * (nope + wide), nope + wide);
        const auto key = m.w_ur ? turned(part(times(m.w_ur->weight, latent[s]), h * rope, rope), s, c) : shared[s];
        double score = 0;
        for (std::int64_t i = 0; i < nope; ++i)
          score += q_h[static_cast<std::size_t>(i)] * kv[static_cast<std::size_t>(i)];
        for (std::size_t i = 0; i < key.size(); ++i) score += q_rope[i] * key[i];
        p.push_back(std::exp(score / std::sqrt(static_cast<double>(nope + rope))));
        total += p.back();
        values.push_back(part(kv, nope, wide));
      }
      for (std::size_t i = 0; i < static_cast<std::size_t>(wide); ++i) {
        double mixed = 0;
        for (std::size_t s = 0; s <= t; ++s) mixed += p[s] / total * values[s][i];
        y.push_back(mixed);
      }
    }
    result.push_back(times(m.o.weight, y));
  }
  return result;
}

}  // namespace

FOLIO_PROPERTY(MLA, EqualsThePaperWrittenAsLoops) {
  for (const Variant& v : variants) {
    Draw draw(seed);
    const DeepSeekConfig c = config_of(v);
    const auto m = module_of(c, draw);
    const Tensor x = draw.normal({2, draw.integer(1, 6), c.hidden_size});
    const Tensor y = (*m)(x);
    for (std::int64_t b = 0; b < 2; ++b) {
      Rows rows = plain_mla(*m, c, rows_of(x.slice(0, b, b + 1)));
      std::vector<double> flat;
      for (const auto& row : rows) flat.insert(flat.end(), row.begin(), row.end());
      const Tensor expected = from_vector(flat, {1, x.dim(1), c.hidden_size}, {DType::float64});
      const double difference = largest_difference(y.slice(0, b, b + 1), expected);
      RC_ASSERT(difference < 1e-10);
    }
    note_variant(shares, v);
    shares.note("of several tokens", x.dim(1) > 1, 60);
  }
}

FOLIO_PROPERTY(MLA, ALaterTokenLeavesEveryEarlierOutputBitIdentical) {
  for (const Variant& v : variants) {
    for (DType dtype : {DType::float32, DType::float64}) {
      Draw draw(seed);
      const DeepSeekConfig c = config_of(v);
      const auto m = module_of(c, draw, dtype);
      const std::int64_t length = drawn_length(draw, 2, 16), t = draw.integer(1, length - 1);
      const Tensor x = draw.normal({2, length, c.hidden_size}).to(dtype);
      const Tensor before = (*m)(x), after = (*m)(with_token_changed(x, t));
      const bool same = before.slice(1, 0, t).to_vector() == after.slice(1, 0, t).to_vector();
      RC_ASSERT(same);
      const bool seen = before.slice(1, t, length).to_vector() != after.slice(1, t, length).to_vector();
      RC_ASSERT(seen);
      note_variant(shares, v);
      shares.note("of more than one block", length > block, 7);
      shares.note("with several tokens before the change", t > 1, 60);
      shares.note("with tokens behind the changed one", t < length - 1, 60);
    }
  }
}

FOLIO_PROPERTY(MLA, NoGradientFlowsToFutureTokens) {
  for (const Variant& v : variants) {
    Draw draw(seed);
    const DeepSeekConfig c = config_of(v);
    const auto m = module_of(c, draw);
    const std::int64_t length = drawn_length(draw, 2, 12), s = draw.integer(0, length - 2);
    Tensor x = draw.normal({1, length, c.hidden_size});
    x.requires_grad(true);
    Tape tape;
    const Tensor y = (*m)(x).slice(1, s, s + 1);
    tape.backward(y, draw.normal(y.shape()));
    for (double g : x.grad().slice(1, s + 1, length).to_vector()) RC_ASSERT(g == 0.0);
    bool reached = false;
    for (double g : x.grad().slice(1, 0, s + 1).to_vector()) reached = reached || g != 0;
    RC_ASSERT(reached);
    note_variant(shares, v);
    shares.note("of more than one block", length > block, 7);
    shares.note("with several future tokens", s < length - 2, 60);
    shares.note("with a past", s > 0, 60);
  }
}

FOLIO_PROPERTY(MLA, AbsorbedDecodeEqualsTheFullForwardForAnyChunking) {
  for (const Variant& v : variants) {
    for (DType dtype : {DType::float32, DType::float64}) {
      Draw draw(seed);
      const DeepSeekConfig c = config_of(v);
      const auto m = module_of(c, draw, dtype);
      const std::int64_t batch = draw.integer(1, 3), length = drawn_length(draw, 1, c.context);
      const Tensor x = draw.normal({batch, length, c.hidden_size}).to(dtype);
      const Tensor full = (*m)(x);
      LatentCache cache(c, batch, {dtype}, length);
      int chunks = 0;
      bool several_behind_others = false;
      for (std::int64_t at = 0; at < length; ++chunks) {
        const std::int64_t n = draw.integer(1, length - at);
        const Tensor y = m->decode(x.slice(1, at, at + n), cache.layer(0));
        const double difference = largest_difference(y, full.slice(1, at, at + n));
        RC_ASSERT(difference < (dtype == DType::float64 ? 1e-10 : 1e-4));
        several_behind_others = several_behind_others || (at > 0 && n > 1);
        at += n;
        RC_ASSERT(cache.layer(0).length == at);
      }
      note_variant(shares, v);
      shares.note("of several sequences", batch > 1, 50);
      shares.note("of more than one block", length > block, 7);
      shares.note("in several chunks", chunks > 1, 60);
      shares.note("with a chunk of several tokens behind others", several_behind_others, 40);
    }
  }
}

TEST(MLA, DecodeNeverAppliesUpProjectionsToTheHistory) {
  for (const Variant& v : variants) {
    DeepSeekConfig c = config_of(v);
    c.context = 4096;
    c.num_attention_heads = 8;
    c.nope_head_dim = 64;
    c.v_head_dim = 64;
    Draw draw(1);
    const auto m = module_of(c, draw, DType::float32);
    LatentCache cache(c, 1);
    cache.layer(0).length = c.context - 1;
    const Tensor x = draw.normal({1, 1, c.hidden_size}).to(DType::float32);
    release_cached_memory();
    reset_peak_memory();
    const std::size_t before = memory_statistics().live;
    m->decode(x, cache.layer(0));
    const std::size_t more = memory_statistics().peak - before;
    // Scores are 8·4096 numbers; kv_b of the history would be 8·128·4096, the heads' copies of the latents 8·7·4096.
    EXPECT_LT(more, 8U * 7U * 4096U * sizeof(float)) << v.name;
  }
}

TEST(MLA, CacheHoldsTheLatentAndTheRotaryKeyOnly) {
  DeepSeekConfig c;  // the reference's sizes
  c.num_attention_heads = 9;
  c.num_hidden_layers = 2;
  const auto size = [&](std::int64_t numbers) { return static_cast<std::size_t>(2 * numbers) * sizeof(float); };
  EXPECT_EQ(LatentCache(c, 1).bytes_per_token(), size(160));
  EXPECT_EQ(LatentCache(c, 3, {DType::float64}).bytes_per_token(), 2 * size(160));
  EXPECT_EQ(LatentCache::plain_attention_bytes_per_token(c), size(1152));
  const std::size_t before = memory_statistics().live;
  c.rotary_key = RotaryKey::per_head;
  const LatentCache cache(c, 1);
  EXPECT_EQ(cache.bytes_per_token(), size(416));
  EXPECT_EQ(memory_statistics().live - before, cache.bytes());
}

TEST(MLA, AFullCacheRefusesAndClearForgets) {
  Draw draw(1);
  const DeepSeekConfig c = small_config();
  const auto m = module_of(c, draw);
  LatentCache cache(c, 1, {DType::float64}, 3);
  const Tensor x = draw.normal({1, 2, c.hidden_size});
  const Tensor first = m->decode(x, cache.layer(0));
  EXPECT_THROW(m->decode(x, cache.layer(0)), Error);
  EXPECT_EQ(cache.layer(0).length, 2);
  cache.clear();
  EXPECT_EQ(m->decode(x, cache.layer(0)).to_vector(), first.to_vector());
}

TEST(MLA, ADecodeThatThrowsLeavesTheCacheAsItWas) {
  Draw draw(1);
  const DeepSeekConfig c = small_config();
  const auto m = module_of(c, draw);
  LatentCache cache(c, 1, {DType::float64});
  const Tensor x = draw.normal({1, 2, c.hidden_size});
  m->decode(x, cache.layer(0));
  m->o.weight = zeros({3, 3}, {DType::float64});
  EXPECT_THROW(m->decode(x, cache.layer(0)), Error);
  EXPECT_EQ(cache.layer(0).length, 2);
}

TEST(MLA, ACacheWithRoomForLessThanNothingIsRefused) {
  EXPECT_EQ(
      error_of([] { const LatentCache cache(small_config(), 1, {}, -1); }).find("LatentCache: room for -1 tokens"), 0U);
}

TEST(MLA, ACacheOfAnotherModelIsRefusedInItsNameAndStaysAsItIs) {
  Draw draw(1);
  const DeepSeekConfig c = small_config();
  const auto m = module_of(c, draw);
  const Tensor x = draw.normal({2, 1, c.hidden_size});
  DeepSeekConfig wider = c;
  wider.kv_lora_rank += 1;
  LatentCache dtype(c, 2, {DType::float32}), batch(c, 3, {DType::float64}), width(wider, 2, {DType::float64});
  for (LatentCache* cache : {&dtype, &batch, &width}) {
    const std::string text = error_of([&] { m->decode(x, cache->layer(0)); });
    EXPECT_EQ(text.find("LatentCache: new rows of c are float64 (2, 1, "), 0U) << text;
    EXPECT_EQ(cache->length(), 0);
  }
  for (const std::int64_t i : {std::int64_t{-1}, c.num_hidden_layers}) {
    EXPECT_NE(error_of([&] { dtype.layer(i); }).find("LatentCache: it has "), std::string::npos) << i;
  }
}

TEST(MLA, DecodeRecordsNothing) {
  Draw draw(1);
  const DeepSeekConfig c = small_config();
  const auto m = module_of(c, draw);
  LatentCache cache(c, 1, {DType::float64});
  const Tape tape;
  m->decode(draw.normal({1, 2, c.hidden_size}), cache.layer(0));
  EXPECT_TRUE(tape.entries().empty());
}

TEST(MLA, NamesItsParametersAfterThePaper) {
  const auto names = [](const DeepSeekConfig& c) {
    Generator g(1);
    const DeepSeekMLA module(c, g);
    std::string all;
    for (const Parameter& p : module.parameters()) all += p.name + " ";
    return all;
  };
  EXPECT_EQ(names(config_of(variants[0])),
            "q_a.weight q_a_norm.weight q_b.weight kv_a.weight kv_a_norm.weight kv_b.weight o.weight ");
  EXPECT_EQ(names(config_of(variants[3])), "q.weight kv_a.weight kv_a_norm.weight kv_b.weight w_ur.weight o.weight ");
}

// ── Rotary embedding ─────────────────────────────────────────────────────────────────────────────────────────────────

FOLIO_PROPERTY(Rope, KeepsTheNormOfEveryHead) {
  Draw draw(seed);
  const std::int64_t width = 2 * draw.integer(1, 4), length = draw.integer(1, 9);
  const Tensor x = draw.normal({2, length, 3, width});
  for (RopePairs pairs : {RopePairs::interleaved, RopePairs::rotate_half}) {
    const std::int64_t offset = draw.integer(0, 100);
    const Tensor y = rope(x, {.pairs = pairs, .offset = offset});
    shares.note("behind other tokens", offset > 0, 80);
    RC_ASSERT(largest_difference(sum(x * x, {-1}), sum(y * y, {-1})) < 1e-12);
    if (length > 1) RC_ASSERT(largest_difference(x, y) > 1e-3);
  }
  shares.note("of several tokens", length > 1, 70);
  shares.note("of several pairs", width > 2, 60);
}

FOLIO_PROPERTY(Rope, ScoresDependOnRelativePositionOnly) {
  Draw draw(seed);
  const std::int64_t width = 2 * draw.integer(1, 4);
  const Tensor q = draw.normal({1, 1, 1, width}), k = draw.normal({1, 1, 1, width});
  const std::int64_t t = draw.integer(0, 50), s = draw.integer(0, 50), shift = draw.integer(1, 200);
  for (RopePairs pairs : {RopePairs::interleaved, RopePairs::rotate_half}) {
    const auto score = [&](std::int64_t at_q, std::int64_t at_k) {
      return sum(rope(q, {.pairs = pairs, .offset = at_q}) * rope(k, {.pairs = pairs, .offset = at_k})).item();
    };
    const double difference = std::abs(score(t, s) - score(t + shift, s + shift));
    RC_ASSERT(difference < 1e-11);
  }
  shares.note("of several pairs", width > 2, 60);
  shares.note("at two positions", t != s, 90);
}

}  // namespace folio::testing
