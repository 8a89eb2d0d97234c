// generate --from DIR: goes on from a prompt with a trained model, token by token as they come.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <optional>

#include "autograd/settings.hpp"
#include "autograd/threads.hpp"
#include "examples/device.hpp"
#include "examples/program.hpp"
#include "examples/run_folder.hpp"
#include "examples/waiting.hpp"
#include "nn/sampling.hpp"

using namespace folio;
using namespace folio::examples;

namespace {

/// What the latent cache takes, as the allocator counts it, beside what plain multi-head attention would keep.
std::string cache_size(const DeepSeekLM& model) {
  const LatentCache cache = model.make_cache(1, 1);
  return fmt::format("cache: {} bytes per token, {} in plain attention\n", cache.bytes_per_token(),
                     LatentCache::plain_attention_bytes_per_token(model.config(), cache.dtype()));
}

}  // namespace

int main(int argc, char** argv) {
  bound_waiting(argv);
  CLI::App app{"Generates text with a model that train has saved.", "generate"};
  std::string from, device = "cpu";
  std::optional<std::string> prompt, dtype, gemm;
  std::int64_t tokens = 500;
  std::optional<int> threads;
  GenerateOptions options;
  SamplingOptions& sampling = options.sampling;
  std::uint64_t seed = 1;
  bool no_cache = false;
  app.add_option("--from", from, "folder of a train run")->required();
  app.add_option("--prompt", prompt, "the text to go on from; a line break if not given");
  app.add_option("--tokens", tokens, "how many tokens to generate")
      ->check(whole_number<std::int64_t>(0))
      ->capture_default_str();
  app.add_option("--temperature", sampling.temperature, "0 always takes the likeliest token")
      ->check(number("of at least 0", [](double x) { return x >= 0; }))
      ->capture_default_str();
  app.add_option("--top-k", sampling.top_k, "only among the k likeliest; 0: all")->check(whole_number<std::int64_t>(0));
  app.add_option("--top-p", sampling.top_p, "only among the likeliest that hold this share of probability")
      ->check(number("above 0 and at most 1", [](double x) { return x > 0 && x <= 1; }));
  app.add_option("--seed", seed, "seed of the draws")->check(whole_number<std::uint64_t>(0));
  app.add_option("--device", device, device_help)->capture_default_str();
  app.add_option("--dtype", dtype,
                 "hold weights in f32, bf16 or f16, activations in 16 bits with them; as trained if not given")
      ->check(CLI::IsMember({"f32", "bf16", "f16"}));
  app.add_option("--gemm", gemm, "who multiplies matrices: eigen or onednn; the fastest of this build if not given");
  app.add_option("--threads", threads, "CPU threads")->check(whole_number<int>(1));
  app.add_flag("--no-cache", no_cache, "run the whole window for each token instead of the latent cache");
  return run_program(app, argc, argv, [&] {
    options.cache = !no_cache;
    const Device place = chosen_device(device, gemm, false);
    if (threads) set_num_threads(*threads);
    require(!from.empty(), [] { return std::string("--from is empty; give the --out folder of a train run"); });
    require(prompt != "", [] { return std::string("--prompt is empty; give at least one character"); });
    const SavedModel saved = load_model(from);
    DeepSeekConfig as = saved.model->config();
    if (dtype) as.set("dtype", *dtype);
    saved.model->to(as.dtype);
    saved.model->to(place);
    const data::Tokenizer& tokenizer = *saved.tokenizer;
    sampling.vocabulary = tokenizer.vocab_size();
    const auto ids = prompt ? naming("--prompt", [&] { return tokenizer.encode(*prompt); }) : opening(tokenizer);
    if (const std::int64_t context = saved.model->config().context; std::ssize(ids) > context) {
      std::cerr << fmt::format("warning: the prompt has {} tokens, and the model sees only the last {}\n", ids.size(),
                               context);
    }
    std::cout << tokenizer.decode(ids) << std::flush;
    const auto start = std::chrono::steady_clock::now();
    const auto made = generate(*saved.model, ids, tokens, options, RandomStream{seed, 0}, [&](std::int32_t id) {
      std::cout << tokenizer.decode({&id, 1}) << std::flush;
      return std::cout.good();
    });
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    std::cout << std::endl;
    std::cerr << fmt::format("{} tokens, {:.1f} tokens/s; ", made.size(),
                             static_cast<double>(made.size()) / std::max(seconds, 1e-9))
              << (no_cache ? "no cache\n" : cache_size(*saved.model));
    return 0;
  });
}
