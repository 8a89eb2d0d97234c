// Weights in 16 bits: half the memory, and what activations of that dtype make of float32 weights, bit for bit.
#include "autograd/autograd.hpp"
#include "nn/nn.hpp"
#include "tests/error_of.hpp"
#include "tests/nn/module_cases.hpp"
#include "tests/nn/small_config.hpp"
#include "tests/relative_distance.hpp"
#include "tests/shares.hpp"

namespace folio::testing {
namespace {

/// The tokens decoded as one chunk and then one by one: (B, T, vocab).
Tensor decoded(DeepSeekLM& model, const Tensor& ids, std::int64_t prompt) {
  LatentCache cache = model.make_cache(ids.dim(0));
  Tensors chunks = {model.decode(ids.slice(1, 0, prompt), cache)};
  for (std::int64_t t = prompt; t < ids.dim(1); ++t) chunks.push_back(model.decode(ids.slice(1, t, t + 1), cache));
  return concat(chunks, 1);
}

FOLIO_PROPERTY(HalfWeights, GiveTheBitsOfFloat32WeightsInActivationsOf16Bits) {
  Draw draw(seed);
  DeepSeekConfig c = small_config(11);
  c.rotary_key = static_cast<RotaryKey>(draw.integer(0, 1));
  c.q_lora_rank = draw.integer(0, 4);
  c.first_k_dense = draw.integer(0, 1);
  c.dense_intermediate_size = 12;
  c.tie_embeddings = draw.chance(0.5);
  const DType dtype = draw.chance(0.5) ? DType::bfloat16 : DType::float16;
  Generator g(seed), h(seed);
  DeepSeekLM halves(c, g);
  c.dtype = dtype;
  DeepSeekLM masters(c, h);
  halves.to(dtype);
  halves.eval();
  masters.eval();
  const Tensor ids = draw.indices({2, c.context}, c.vocab_size);
  const std::int64_t prompt = draw.integer(1, c.context - 1);
  const Tensor logits = halves.logits(ids), next = decoded(halves, ids, prompt);
  RC_ASSERT(logits.dtype() == dtype);
  RC_ASSERT(logits.to_vector() == masters.logits(ids).to_vector());
  RC_ASSERT(next.to_vector() == decoded(masters, ids, prompt).to_vector());
  shares.note("in bfloat16", dtype == DType::bfloat16, 30);
  shares.note("with queries compressed", c.q_lora_rank > 0, 50);
  shares.note("with a head of its own", !c.tie_embeddings, 30);
}

TEST(HalfWeights, TakeHalfTheBytesAndLeaveNormsAndRoutersInFloat32) {
  DeepSeekConfig c = small_config(11);
  c.tie_embeddings = false;
  Generator g(1);
  DeepSeekLM model(c, g);
  const std::size_t before = memory_statistics().live;
  std::size_t of_weights = 0;
  for (const Parameter& p : model.parameters()) {
    const bool stays = p.name.find("norm") != std::string::npos || p.name.ends_with(".mlp.gate.weight");
    EXPECT_EQ(p.in_halves, !stays) << p.name;
    if (!stays) of_weights += static_cast<std::size_t>(p.value.numel()) * sizeof(float);
  }
  model.to(DType::bfloat16);
  EXPECT_EQ(before - memory_statistics().live, of_weights / 2);
  for (const Parameter& p : model.parameters())
    EXPECT_EQ(p.value.dtype(), p.in_halves ? DType::bfloat16 : DType::float32) << p.name;
  EXPECT_EQ(model.activation_dtype(), DType::bfloat16);
  model.to(DType::float32);
  EXPECT_EQ(model.activation_dtype(), DType::float32);
  EXPECT_EQ(memory_statistics().live, before);
}

TEST(HalfWeights, StayNearFloat32) {
  Draw draw(4);
  const DeepSeekConfig c = small_config(11);
  const Tensor ids = draw.indices({2, c.context}, c.vocab_size);
  for (const DType dtype : {DType::bfloat16, DType::float16}) {
    Generator g(1);
    DeepSeekLM model(c, g);
    model.eval();
    const auto exact = model.logits(ids).to_vector();
    model.to(dtype);
    const double distance = relative_distance(decoded(model, ids, 3).to_vector(), exact);
    EXPECT_LT(distance, dtype == DType::bfloat16 ? 0.03 : 0.004) << name_of(dtype);
    EXPECT_GT(distance, 0) << name_of(dtype);
  }
}

TEST(HalfWeights, AModelThatIsNotOfFloat32IsAClearErrorAndStaysAsItIs) {
  Generator g(1);
  DeepSeekLM model(small_config(11), g, {DType::float64});
  EXPECT_NE(error_of([&] { model.to(DType::bfloat16); }).find("norm.weight"), std::string::npos);
  EXPECT_NE(error_of([&] { model.to(DType::float64); }), "");
  for (const Parameter& p : model.parameters()) EXPECT_EQ(p.value.dtype(), DType::float64) << p.name;
  EXPECT_NE(error_of([] { arange(3).convert_to(DType::bfloat16); }).find("convert_to"), std::string::npos);
}

}  // namespace
}  // namespace folio::testing
