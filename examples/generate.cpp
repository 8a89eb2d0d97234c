// generate --from DIR: goes on from a prompt with a trained model, token by token as they come.
#include <iostream>
#include <optional>

#include "autograd/threads.hpp"
#include "examples/device.hpp"
#include "examples/program.hpp"
#include "examples/run_folder.hpp"
#include "nn/sampling.hpp"

using namespace folio;
using namespace folio::examples;

int main(int argc, char** argv) {
  CLI::App app{"Generates text with a model that train has saved.", "generate"};
  std::string from, prompt = "\n", device = "cpu";
  std::int64_t tokens = 500;
  std::optional<int> threads;
  GenerateOptions options;
  SamplingOptions& sampling = options.sampling;
  std::uint64_t seed = 1;
  bool no_cache = false;
  app.add_option("--from", from, "folder of a train run")->required();
  app.add_option("--prompt", prompt, "the text to go on from");
  app.add_option("--tokens", tokens, "how many tokens to generate")->check(CLI::NonNegativeNumber)->capture_default_str();
  app.add_option("--temperature", sampling.temperature, "0 always takes the likeliest token")->check(CLI::NonNegativeNumber)->capture_default_str();
  app.add_option("--top-k", sampling.top_k, "only among the k likeliest; 0: all")->check(CLI::NonNegativeNumber);
  app.add_option("--top-p", sampling.top_p, "only among the likeliest that hold this share of probability")->check(CLI::Range(0.0, 1.0));
  app.add_option("--seed", seed, "seed of the draws");
  app.add_option("--device", device, device_help)->capture_default_str();
  app.add_option("--threads", threads, "CPU threads")->check(CLI::PositiveNumber);
  app.add_flag("--no-cache", no_cache, "run the whole window for each token instead of the latent cache");
  return run_program(app, argc, argv, [&] {
    options.cache = !no_cache;
    const Device place = chosen_device(device);
    if (threads) set_num_threads(*threads);
    const SavedModel saved = load_model(from);
    saved.model->to(place);
    require(!prompt.empty(), [] { return std::string("--prompt is empty; give at least one character"); });
    const auto ids = saved.tokenizer->encode(prompt);
    std::cout << prompt << std::flush;
    generate(*saved.model, ids, tokens, options, RandomStream{seed, 0}, [&](std::int32_t id) {
      std::cout << shown(*saved.tokenizer, {&id, 1}) << std::flush;
      return std::cout.good();
    });
    std::cout << std::endl;
    return 0;
  });
}
