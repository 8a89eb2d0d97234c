// One training step of a tiny model on the embedded text, with headers and libraries of every room.
#include <folio/autograd/autograd.hpp>
#include <folio/data/source.hpp>
#include <folio/data/tokenizer.hpp>
#include <folio/nn/nn.hpp>
#include <folio/optim/adamw.hpp>

int main() {
  const std::string text(folio::data::sample_text());
  const folio::data::CharTokenizer tokenizer(text);
  folio::DeepSeekConfig config;
  config.vocab_size = tokenizer.vocab_size();
  config.num_hidden_layers = 1;
  folio::Generator generator(1);
  folio::DeepSeekLM model(config, generator);
  folio::optim::AdamW adam(model.parameters());
  const auto ids = tokenizer.encode(text.substr(0, 33));
  const auto loss = [&] {
    return model.loss(folio::from_indices({ids.data(), 32}, {1, 32}),
                      folio::from_indices({ids.data() + 1, 32}, {1, 32}));
  };
  const double before = loss().item();
  folio::Tape tape;
  tape.backward(loss());
  adam.step();
  return loss().item() < before ? 0 : 1;
}
