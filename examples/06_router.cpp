// The router's bias: what balances the experts' load, and where it must not go.
// You should see that the bias brings expert 2 in under both gates, but that only DeepSeek-V3's, which adds it to the scores
// to choose and then forgets it, leaves the weights to the scores: 0.622 / (0.622 + 0.881) = 0.414 for expert 2. With the
// bias among the logits expert 2 also gets a larger say in the output than that: σ(0.5 + 1) = 0.818, not 0.622, and so
// 0.818 / (0.818 + 0.881) = 0.481. (The experts chosen stand in the order in which they were chosen, weights below them.)
#include <iostream>

#include "nn/router.hpp"

using namespace folio;

int main() {
  DeepSeekConfig config;
  config.hidden_size = 4;
  config.num_routed_experts = 4;
  config.num_active_experts = 2;
  // A token of ones, and below rows of the router's weight that sum to 2, 1, ½ and −1: these are the experts' logits.
  const Tensor token = tensor({1, 1, 1, 1}).reshape({1, 4});  // (1, hidden)

  for (const Gate gate : {Gate::selection_bias, Gate::biased_logits}) {
    config.gate = gate;
    Generator random(1);
    Router router(config, random);
    router.weight.copy_from(tensor({0.5, 0.25, 0.125, -0.25}).reshape({4, 1}).expand({4, 4}));
    for (const double bias : {0.0, 1.0}) {
      router.e_score_correction_bias.copy_from(tensor({0, 0, bias, 0}));
      const Gating g = router(token);
      std::cout << "bias of expert 2 " << (gate == Gate::selection_bias ? "beside the scores" : "among the logits")
                << ": " << bias << "\n  scores  " << g.scores << "\n  chosen  " << g.chosen << "\n  weights "
                << g.weights << "\n";
    }
  }
}
