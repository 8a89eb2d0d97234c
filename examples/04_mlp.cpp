// A multi-layer perceptron learns two interleaved moons with AdamW.
// You should see the loss fall from about 1 (a guess would give ln 2 = 0.7) to below 0.02, and nearly all answers right.
#include <cmath>
#include <iomanip>
#include <iostream>
#include <numbers>
#include <vector>

#include "autograd/autograd.hpp"
#include "nn/linear.hpp"
#include "optim/adamw.hpp"

using namespace folio;

namespace {

struct Moons {
  Tensor points;  // (n, 2)
  Tensor sides;   // (n) int32: 0 for a point of the upper moon, 1 for one of the lower
};

Moons make_moons(std::int64_t n, Generator& random) {
  const std::vector<double> noise = randn({n, 2}, random).to_vector();
  std::vector<double> points;
  std::vector<std::int32_t> sides;
  const std::int64_t pairs = n / 2;
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int64_t pair = i / 2;
    const double angle = std::numbers::pi * static_cast<double>(pair) / static_cast<double>(pairs);
    const bool lower = i % 2 == 1;
    const auto j = static_cast<std::size_t>(2 * i);
    points.push_back((lower ? 1 - std::cos(angle) : std::cos(angle)) + 0.1 * noise[j]);
    points.push_back((lower ? 0.5 - std::sin(angle) : std::sin(angle)) + 0.1 * noise[j + 1]);
    sides.push_back(lower ? 1 : 0);
  }
  return {from_vector(points, {n, 2}), from_indices(sides, {n})};
}

/// The share of points whose larger logit is that of their side.
double accuracy(const Tensor& logits, const Tensor& sides) {
  const std::vector<double> guess = max(logits, -1).second.to_vector();
  const std::vector<double> truth = sides.to_vector();
  double right = 0;
  for (std::size_t i = 0; i < guess.size(); ++i) right += guess[i] == truth[i];
  return right / static_cast<double>(guess.size());
}

struct MLP : Module {
  // In and out, the options of tensors (float32 on the CPU), the standard deviation of the weights, and whether to add a bias.
  explicit MLP(Generator& random) : first(2, 32, random, {}, 1, true), second(32, 2, random, {}, 0.2, true) {
    add_child("first", first);  // whose parameters are then "first.weight" and "first.bias"
    add_child("second", second);
  }
  Tensor operator()(const Tensor& x) const { return second(silu(first(x))); }

  Linear first, second;
};

}  // namespace

int main() {
  Generator random(1);
  const Moons moons = make_moons(400, random);

  MLP model(random);
  optim::AdamW adam(model.parameters(), {.lr = 2e-2});

  for (int step = 0; step <= 300; ++step) {
    Tape tape;
    const Tensor logits = model(moons.points);               // (400, 2)
    const Tensor loss = cross_entropy(logits, moons.sides);  // ()
    tape.backward(loss);
    adam.step();
    if (step % 50 == 0) {
      std::cout << "step " << std::setw(3) << step << "  loss " << std::fixed << std::setprecision(4) << loss.item()
                << "  right " << std::setprecision(3) << accuracy(logits.detach(), moons.sides) << "\n";
    }
  }
}
