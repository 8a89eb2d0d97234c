#include <gtest/gtest.h>

#include "autograd/tape.hpp"
#include "nn/embedding.hpp"
#include "nn/linear.hpp"
#include "nn/rms_norm.hpp"
#include "tests/error_of.hpp"

namespace folio {
namespace {

/// A module with a child that has a child.
struct Pair : Module {
  explicit Pair(Generator& g) : first(2, 3, g), second(3, 1, g, {}, 0.02, true) {
    add_child("first", first);
    add_child("second", second);
    counter = add_buffer("counter", zeros({1}));
  }
  Linear first, second;
  Tensor counter;
};

struct Model : Module {
  explicit Model(std::uint64_t seed) : generator(seed), pair(generator), norm(3) {
    add_child("layers.0", pair);
    add_child("norm", norm);
  }
  Generator generator;
  Pair pair;
  RMSNorm norm;
};

std::string refusal(Model& model, const std::map<std::string, Tensor>& state) {
  try {
    model.load_state(state);
  } catch (const Error& e) {
    return e.what();
  }
  return "accepted";
}

}  // namespace

TEST(Module, NamesParametersByTheirPathInOrder) {
  Model model(1);
  std::vector<std::string> names;
  for (const Parameter& p : model.parameters()) names.push_back(p.name);
  EXPECT_EQ(names, (std::vector<std::string>{"layers.0.first.weight", "layers.0.second.weight", "layers.0.second.bias",
                                             "norm.weight"}));
  ASSERT_EQ(model.buffers().size(), 1U);
  EXPECT_EQ(model.buffers()[0].name, "layers.0.counter");
  EXPECT_TRUE(model.parameters()[0].value.is(model.pair.first.weight));
  EXPECT_FALSE(model.buffers()[0].value.requires_grad());
}

TEST(Module, WeightsDecayButNormsEmbeddingsAndBiasesDoNot) {
  Model model(1);
  std::vector<bool> decays;
  for (const Parameter& p : model.parameters()) decays.push_back(p.decays);
  EXPECT_EQ(decays, (std::vector<bool>{true, true, false, false}));
  Generator g(1);
  EXPECT_FALSE(Embedding(3, 2, g).parameters()[0].decays);
}

TEST(Module, ModeReachesChildren) {
  Model model(1);
  EXPECT_TRUE(model.pair.second.training());
  model.eval();
  EXPECT_FALSE(model.pair.second.training());
  model.train();
  EXPECT_TRUE(model.pair.second.training());
}

TEST(Module, EqualSeedsStartAlikeAndOthersDoNot) {
  Model a(1), b(1), c(2);
  EXPECT_EQ(a.pair.first.weight.to_vector(), b.pair.first.weight.to_vector());
  EXPECT_NE(a.pair.first.weight.to_vector(), c.pair.first.weight.to_vector());
  EXPECT_NE(a.pair.first.weight.to_vector()[0], a.pair.second.weight.to_vector()[0]);
}

TEST(Module, LoadsTheStateOfAnother) {
  Model a(1), b(2);
  a.pair.counter.fill(7);
  b.load_state(a.state());
  for (const auto& [name, value] : a.state()) EXPECT_EQ(value.to_vector(), b.state()[name].to_vector()) << name;
  a.pair.counter.fill(8);
  EXPECT_EQ(b.pair.counter.item(), 7) << "values are copied, not shared";
}

TEST(Module, RefusesAStateThatDoesNotFitAndChangesNothing) {
  Model model(1);
  const auto before = model.pair.first.weight.to_vector();
  auto state = Model(2).state();
  auto missing = state;
  missing.erase("norm.weight");
  EXPECT_NE(refusal(model, missing).find("'norm.weight' (3) is missing"), std::string::npos);
  auto extra = state;
  extra["head.weight"] = zeros({2});
  EXPECT_NE(refusal(model, extra).find("'head.weight' (2) is no part of this module"), std::string::npos);
  auto other = state;
  other["norm.weight"] = zeros({4});
  EXPECT_NE(refusal(model, other).find("'norm.weight' is float32 (4) but the module's is float32 (3)"),
            std::string::npos);
  for (const std::string name : {"norm.weight", "layers.0.counter"}) {  // a parameter, a buffer
    auto integers = state;
    integers[name] = state[name].to(DType::int32);
    const std::string shape = to_string(state[name].shape());
    EXPECT_NE(refusal(model, integers)
                  .find("'" + name + "' is int32 " + shape + " but the module's is float32 " + shape + ": convert it"),
              std::string::npos)
        << refusal(model, integers);
  }
  EXPECT_EQ(model.pair.first.weight.to_vector(), before);
  EXPECT_EQ(refusal(model, state), "accepted");
}

TEST(Module, LoadsItsOwnTensorsInAnotherOrder) {
  Generator g(1);
  struct Twins : Module {
    explicit Twins(Generator& g) : a(2, 2, g), b(2, 2, g) {
      add_child("a", a);
      add_child("b", b);
    }
    Linear a, b;
  } twins(g);
  const auto a = twins.a.weight.to_vector(), b = twins.b.weight.to_vector();
  auto state = twins.state();
  std::swap(state["a.weight"], state["b.weight"]);
  twins.load_state(state);
  EXPECT_EQ(twins.a.weight.to_vector(), b);
  EXPECT_EQ(twins.b.weight.to_vector(), a);
}

TEST(Module, IsConvertedWholeOrNotAtAll) {
  Model model(1);
  Tape tape;
  const Tensor y = model.pair.second(model.norm(ones({1, 3})));  // the last one that is converted
  EXPECT_NE(error_of([&] { model.to(DType::bfloat16); }).find("to: a live tape has recorded an op on"),
            std::string::npos);
  EXPECT_EQ(model.pair.first.weight.dtype(), DType::float32);
  model.to(DType::float32);
  model.to(Device::cpu);
}

TEST(Module, EvaluatingEndsInTheModesBefore) {
  Model model(1);
  model.pair.second.eval();
  {
    const Evaluating mode(model);
    EXPECT_FALSE(model.training() || model.pair.first.training());
  }
  EXPECT_TRUE(model.training() && model.pair.first.training());
  EXPECT_FALSE(model.pair.second.training());
}

TEST(Module, LoadsAcrossFloatTypes) {
  Generator g(1), h(2);
  Linear narrow(2, 2, g), wide(2, 2, h, {DType::float64});
  wide.load_state(narrow.state());
  EXPECT_EQ(wide.weight.dtype(), DType::float64);
  EXPECT_EQ(wide.weight.to_vector(), narrow.weight.to_vector());
}

}  // namespace folio
