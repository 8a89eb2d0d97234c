// The latent cache as a state machine: whatever is done to it, it decodes as a full forward over its tokens does.
#include "nn/latent_cache.hpp"

#include <gtest/gtest.h>
// gtest first
#include <rapidcheck/state.h>

#include <algorithm>
#include <cmath>

#include "autograd/autograd.hpp"
#include "nn/deepseek_mla.hpp"
#include "tests/error_of.hpp"
#include "tests/nn/module_cases.hpp"
#include "tests/shares.hpp"

namespace folio::testing {
namespace {

using Ids = std::vector<std::int32_t>;
constexpr std::int32_t vocabulary = 9;

struct Model {
  std::int64_t capacity = 0;
  Ids ids;  ///< the tokens so far
};

/// Two layers of attention, one behind the other, with their cache.
struct System {
  const DeepSeekMLA& first;
  const DeepSeekMLA& second;
  Tensor table;  ///< (B, vocabulary, hidden): what each token is in each sequence
  LatentCache cache;
  std::size_t bytes;
  int appended = 0, chunks_behind_others = 0, refused = 0, cleared = 0, rewound = 0, filled = 0, forked = 0;

  Tensor inputs(const Ids& ids) const {  // (B, T, hidden)
    const auto n = static_cast<std::int64_t>(ids.size());
    Tensor x = empty({table.dim(0), n, table.dim(2)}, {DType::float64});
    for (std::int64_t t = 0; t < n; ++t) {
      const std::int64_t id = ids[static_cast<std::size_t>(t)];
      x.slice(1, t, t + 1).copy_from(table.slice(1, id, id + 1));
    }
    return x;
  }
  Tensor decode(const Ids& ids, LatentCache& with) const {
    return second.decode(first.decode(inputs(ids), with.layer(0)), with.layer(1));
  }
  Tensor full(const Ids& ids) const { return second(first(inputs(ids))); }
  std::vector<double> held() {
    std::vector<double> all;
    for (int i : {0, 1}) {
      for (const Tensor& t : {cache.layer(i).c, cache.layer(i).k_pe}) {
        const auto values = t.slice(1, 0, cache.length()).to_vector();
        all.insert(all.end(), values.begin(), values.end());
      }
    }
    return all;
  }
};

/// Whether y (B, n, hidden) is the last n rows of the full forward over ids.
bool ends(const Tensor& y, const Tensor& full) {
  const std::int64_t length = full.dim(1);
  const auto a = y.to_vector(), b = full.slice(1, length - y.dim(1), length).to_vector();
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](double p, double q) { return std::abs(p - q) < 1e-10; });
}

Ids joined(Ids a, const Ids& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

struct Step : rc::state::Command<Model, System> {
  void run(const Model& before, System& s) const override {
    act(before, s);
    const Model after = nextState(before);
    const auto length = static_cast<std::int64_t>(after.ids.size());
    RC_ASSERT(s.cache.length() == length);
    RC_ASSERT(s.cache.layer(1).length == length);
    RC_ASSERT(s.cache.capacity() == after.capacity);
    RC_ASSERT(s.cache.bytes() == s.bytes);
  }
  virtual void act(const Model& before, System& s) const = 0;
};

Ids drawn_ids(std::int64_t low, std::int64_t high) {
  const auto n = *rc::gen::inRange<std::int64_t>(low, high + 1);
  return *rc::gen::container<Ids>(static_cast<std::size_t>(n), rc::gen::inRange<std::int32_t>(0, vocabulary));
}

/// Decodes a chunk, or one token.
struct Append : Step {
  Ids ids;
  explicit Append(const Model& m)
      : ids(drawn_ids(1, *rc::gen::element<std::int64_t>(1, std::max<std::int64_t>(1, room(m))))) {}
  static std::int64_t room(const Model& m) { return m.capacity - static_cast<std::int64_t>(m.ids.size()); }
  void checkPreconditions(const Model& m) const override { RC_PRE(static_cast<std::int64_t>(ids.size()) <= room(m)); }
  void apply(Model& m) const override { m.ids = joined(m.ids, ids); }
  void act(const Model& before, System& s) const override {
    const Tensor y = s.decode(ids, s.cache);
    RC_ASSERT(ends(y, s.full(joined(before.ids, ids))));
    ++s.appended;
    s.chunks_behind_others += !before.ids.empty() && ids.size() > 1;
    s.filled += s.cache.length() == s.cache.capacity();
  }
  void show(std::ostream& out) const override { out << "append " << ids.size(); }
};

/// One token more than there is room for, or several.
struct Overflow : Step {
  Ids ids;
  explicit Overflow(const Model& m) : ids(drawn_ids(Append::room(m) + 1, Append::room(m) + 3)) {}
  void checkPreconditions(const Model& m) const override {
    RC_PRE(static_cast<std::int64_t>(ids.size()) > Append::room(m));
  }
  void act(const Model&, System& s) const override {
    const auto old = s.held();
    const std::string error = error_of([&] { s.decode(ids, s.cache); });
    RC_ASSERT(!error.empty());
    RC_ASSERT(s.held() == old);
    ++s.refused;
  }
  void show(std::ostream& out) const override { out << "overflow by " << ids.size(); }
};

struct Clear : Step {
  explicit Clear(const Model&) {}
  void apply(Model& m) const override { m.ids.clear(); }
  void act(const Model& before, System& s) const override {
    s.cache.clear();
    s.cleared += !before.ids.empty();
  }
  void show(std::ostream& out) const override { out << "clear"; }
};

/// Goes on with a clone, behind which the cache itself is overwritten.
struct Fork : Step {
  explicit Fork(const Model&) {}
  void act(const Model& before, System& s) const override {
    LatentCache twin = s.cache.clone();
    std::swap(twin, s.cache);
    twin.clear();
    s.decode(Ids(static_cast<std::size_t>(twin.capacity()), 0), twin);
    s.forked += !before.ids.empty();
  }
  void show(std::ostream& out) const override { out << "fork"; }
};

/// Goes back to an earlier token.
struct Rewind : Step {
  std::int64_t length;
  explicit Rewind(const Model& m) : length(*rc::gen::inRange<std::int64_t>(0, std::ssize(m.ids) + 1)) {}
  void checkPreconditions(const Model& m) const override { RC_PRE(length <= std::ssize(m.ids)); }
  void apply(Model& m) const override { m.ids.resize(static_cast<std::size_t>(length)); }
  void act(const Model& before, System& s) const override {
    s.cache.truncate(length);
    s.rewound += length > 0 && length < std::ssize(before.ids);
  }
  void show(std::ostream& out) const override { out << "rewind to " << length; }
};

}  // namespace

FOLIO_PROPERTY(LatentCache, DecodesAsAFullForwardOverItsTokensWhateverIsDoneToIt) {
  Draw draw(seed);
  DeepSeekConfig c = small_config();
  c.rotary_key = static_cast<RotaryKey>(draw.integer(0, 1));
  c.rope_pairs = static_cast<RopePairs>(draw.integer(0, 1));
  c.q_lora_rank = draw.chance(0.5) ? 5 : 0;
  const std::int64_t batch = draw.integer(1, 2), capacity = draw.integer(3, 12);
  Generator g(1);
  DeepSeekMLA first(c, g, {DType::float64}), second(c, g, {DType::float64});
  randomize(first, draw);
  randomize(second, draw);
  LatentCache cache(c, batch, {DType::float64}, capacity);
  const bool per_head = c.rotary_key == RotaryKey::per_head;
  const std::int64_t numbers = c.kv_lora_rank + c.rope_head_dim * (per_head ? c.num_attention_heads : 1);
  const std::size_t bytes = cache.bytes();
  RC_ASSERT(bytes == static_cast<std::size_t>(2 * batch * capacity * numbers) * sizeof(double));
  System system{first, second, draw.normal({batch, vocabulary, c.hidden_size}), std::move(cache), bytes};
  const Model start{capacity, {}};
  const auto commands = *rc::gen::resize(
      24, rc::state::gen::commands(
              start, rc::state::gen::execOneOfWithArgs<Append, Append, Append, Overflow, Clear, Rewind, Fork>()));
  rc::state::runAll(commands, start, system);
  shares.note("of several chunks", system.appended > 1, 50);
  shares.note("with a chunk of several tokens behind others", system.chunks_behind_others > 0, 25);
  shares.note("filled", system.filled > 0, 10);
  shares.note("refused", system.refused > 0, 40);
  shares.note("cleared", system.cleared > 0, 25);
  shares.note("forked", system.forked > 0, 15);
  shares.note("rewound", system.rewound > 0, 15);
  shares.note("with one rotary key per head", per_head, 30);
  shares.note("with queries compressed", c.q_lora_rank > 0, 30);
  shares.note("of several sequences", batch > 1, 30);
}

}  // namespace folio::testing
