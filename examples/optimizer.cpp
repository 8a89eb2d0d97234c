#include "examples/optimizer.hpp"

#include "optim/adamw.hpp"
#include "optim/muon.hpp"

namespace folio::examples {
namespace {

DType muon_products(const std::string& setting, DType activations) {
  if (setting == "model") return is_half(activations) ? activations : DType::float32;
  DeepSeekConfig named;  // which knows dtypes by these names
  named.set("dtype", setting);
  return named.dtype;
}

}  // namespace

std::unique_ptr<optim::Optimizer> make_optimizer(const DeepSeekLM& model, const TrainSettings& s) {
  const optim::AdamWOptions adamw = {.lr = s.lr, .beta1 = s.beta1, .beta2 = s.beta2, .weight_decay = s.weight_decay};
  if (s.optimizer == "adamw") return std::make_unique<optim::AdamW>(model.parameters(), adamw);
  return std::make_unique<optim::Muon>(
      model.parameters(), optim::MuonOptions{.lr = s.muon_peak(),
                                             .momentum = s.muon_momentum,
                                             .weight_decay = s.weight_decay,
                                             .iterations = s.muon_iterations,
                                             .block_rows = s.muon_block,
                                             .products = muon_products(s.muon_dtype, model.activation_dtype()),
                                             .others = adamw});
}

}  // namespace folio::examples
