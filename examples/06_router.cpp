// The router's bias: what balances the experts' load, and where it must not go.
// You should see that the bias brings expert 2 in under both gates, but that only DeepSeek-V3's leaves the weights to the
// scores: with the bias among the logits, expert 2 also gets a larger say in the output than its score earns.
#include <iostream>

#include "nn/router.hpp"

using namespace folio;

int main() {
  DeepSeekConfig config;
  config.hidden_size = 4;
  config.num_routed_experts = 4;
  config.num_active_experts = 2;
  const Tensor token = tensor({1, 1, 1, 1}).reshape({1, 4});  // (1, hidden)

  for (const Gate gate : {Gate::selection_bias, Gate::biased_logits}) {
    config.gate = gate;
    Generator random(1);
    Router router(config, random);
    // Rows that sum to the logits 2, 1, ½, −1.
    router.weight.copy_from(tensor({0.5, 0.25, 0.125, -0.25}).reshape({4, 1}).expand({4, 4}));
    for (const double bias : {0.0, 1.0}) {
      router.e_score_correction_bias.copy_from(tensor({0, 0, bias, 0}));
      const Gating g = router(token);
      std::cout << (gate == Gate::selection_bias ? "bias beside the scores" : "bias in the logits    ")
                << ", bias of expert 2: " << bias << "\n  scores  " << g.scores << "\n  chosen  " << g.chosen
                << "\n  weights " << g.weights << "\n";
    }
  }
}
