// train --preset NAME: trains a DeepSeek language model on a text, and leaves a folder with its weights, its log and its
// learning curve.
#include <fmt/format.h>

#include <chrono>
#include <iostream>
#include <optional>

#include "autograd/memory.hpp"
#include "autograd/profile.hpp"
#include "autograd/settings.hpp"
#include "autograd/threads.hpp"
#include "data/source.hpp"
#include "data/statistics.hpp"
#include "examples/command.hpp"
#include "examples/curve.hpp"
#include "examples/device.hpp"
#include "examples/interrupt.hpp"
#include "examples/memory.hpp"
#include "examples/profile_report.hpp"
#include "examples/program.hpp"
#include "examples/run_folder.hpp"
#include "examples/trainer.hpp"
#include "examples/waiting.hpp"
#include "nn/sampling.hpp"

using namespace folio;
using namespace folio::examples;

namespace {

constexpr std::uint64_t sample_stream = 0x73616d706c6573;  // apart from the streams of weights, batches and dropout

struct Arguments {
  std::string preset = "shakespeare-cpu", device = "cpu";
  std::optional<std::int64_t> steps, batch, accumulate;
  std::optional<int> threads;
  std::optional<double> lr;
  std::optional<std::uint64_t> seed;
  std::optional<std::string> data, out, gemm, dtype;
  std::vector<std::string> settings;
  std::optional<bool> tf32;
  bool count = false, profile = false;
};

void add_options(CLI::App& app, Arguments& a) {
  std::string names;
  for (const Preset& p : all_presets()) names += "\n  " + p.name + ": " + p.summary;
  app.add_option("--preset", a.preset, "what to train:" + names)->capture_default_str();
  app.add_option("--steps", a.steps, "optimizer steps")->check(whole_number<std::int64_t>(1));
  app.add_option("--batch", a.batch, "windows per micro-batch")->check(whole_number<std::int64_t>(1));
  app.add_option("--accumulate", a.accumulate, "micro-batches per optimizer step")
      ->check(whole_number<std::int64_t>(1));
  app.add_option("--lr", a.lr, "peak learning rate; moves the preset's for Muon in proportion")
      ->check(number("above 0", [](double x) { return x > 0; }));
  app.add_option("--seed", a.seed, "seed of the weights and of the batches")->check(whole_number<std::uint64_t>(0));
  app.add_option("--device", a.device, device_help)->capture_default_str();
  app.add_option("--threads", a.threads, "CPU threads; the results are the same for any number")
      ->check(whole_number<int>(1));
  app.add_option("--gemm", a.gemm, "who multiplies matrices: eigen or onednn; the fastest of this build if not given");
  app.add_flag_function(
      "--tf32,!--no-tf32", [&](std::int64_t given) { a.tf32 = given > 0; },
      "float32 matrix products on a GPU round their factors to TensorFloat-32; on for cuda if not given");
  app.add_option("--dtype", a.dtype, "activations and products in f32, bf16 or f16; parameters and loss stay f32")
      ->check(CLI::IsMember({"f32", "bf16", "f16"}));
  app.add_option("--data", a.data, "the text; otherwise it is looked for, and downloaded if need be");
  app.add_option("--out", a.out, "folder of the run; runs/PRESET-TIME if not given");
  app.add_option("--set", a.settings, "any setting of the model or of the training; as often as there are some to set")
      ->type_name("key=value")
      ->expected(1)
      ->take_all()
      ->allow_extra_args(false);
  app.add_flag("--profile", a.profile,
               "print where the time of the steps goes, and write trace.json for ui.perfetto.dev");
  app.add_flag("--count", a.count, "print the number of parameters and stop");
}

Preset chosen_preset(const Arguments& a) {
  Preset preset = find_preset(a.preset);
  if (a.lr) preset.training.muon_lr *= *a.lr / preset.training.lr;
  for (const std::string& pair : a.settings) preset.set(pair);
  TrainSettings& t = preset.training;
  t.steps = a.steps.value_or(t.steps);
  t.batch = a.batch.value_or(t.batch);
  t.accumulate = a.accumulate.value_or(t.accumulate);
  t.lr = a.lr.value_or(t.lr);
  t.seed = a.seed.value_or(t.seed);
  if (a.dtype) preset.model.set("dtype", *a.dtype);
  preset.model.validate();
  t.validate();
  for (const std::string& pair : a.settings) {
    require(t.optimizer == "muon" || !pair.starts_with("muon_"), [&] {
      return "--set " + pair + " is for Muon, and this run's optimizer is " + t.optimizer +
             ": give --set optimizer=muon too";
    });
  }
  return preset;
}

std::string counted(const ParameterCount& count) {
  return "parameters: total " + data::with_thousands(count.total) + ", active " + data::with_thousands(count.active);
}

/// Who multiplies the matrices of a run there.
std::string products_on(Device device) {
  if (device == Device::cuda) return "cuBLAS";
  return device == Device::cuda_emulated ? "cuBLAS, emulated" : name_of(gemm_provider());
}

/// Whether the run is to end before its last step: a signal came, or what it prints is lost.
bool ended() { return interrupt() != 0 || !std::cout; }

std::string sample(DeepSeekLM& model, const data::Tokenizer& tokenizer, const TrainSettings& settings) {
  const GenerateOptions options = {.sampling = {.temperature = 0.8, .vocabulary = tokenizer.vocab_size()}};
  const RandomStream stream{settings.seed, sample_stream};
  return tokenizer.decode(generate(model, opening(tokenizer), settings.sample_tokens, options, stream,
                                   [](std::int32_t) { return !ended(); }));
}

/// Trains to the last step or the first interrupt, saves the weights, and returns the program's exit code. Where training
/// fails after a first step, or nothing can be printed any more, they are saved too, unless they are of no use.
int run(DeepSeekLM& model, const data::Corpus& corpus, const data::Tokenizer& tokenizer, const TrainSettings& settings,
        RunFolder& folder) {
  RunLog log(folder.path(), settings.steps);
  Trainer trainer(model, corpus, settings, log, ended);
  const std::string saved = "its weights are saved";
  const std::string log_stays =
      folder.path().string() + " holds its log: give the next run another --out, or remove that";
  const auto save = [&] {
    try {
      trainer.with_averages([&] { save_weights(folder.path(), model); });
    } catch (const Error& error) {
      throw Error(error.what() + ("; " + log_stays));
    }
  };
  try {
    trainer.run([&](std::int64_t n) {
      folder.keep();
      if (!ended() && settings.sample_tokens > 0 && settings.due(settings.sample_every, n)) {
        log.sample(n, trainer.with_averages([&] { return sample(model, tokenizer, settings); }));
      }
    });
  } catch (const Diverged&) {
    if (trainer.finished() > 0) {
      log.stopped(trainer.finished(), "its weights are of no use and not saved; " + log_stays);
    }
    throw;
  } catch (...) {
    if (trainer.finished() > 0) {
      trainer.require_finite_weights(trainer.finished());
      save();
      log.stopped(trainer.finished(), saved);
    }
    throw;
  }
  if (trainer.finished() > 0) save();
  const std::string left = trainer.finished() > 0 ? saved : "nothing was learnt, and nothing is kept";
  if (interrupt() != 0) {
    log.stopped(trainer.finished(), left);
    return 128 + interrupt();
  }
  require(std::cout.good(), [&] {
    return fmt::format("writing to standard output failed: is the disk full? stopped after step {} of {}; {}",
                       trainer.finished(), settings.steps, left);
  });
  return 0;
}

/// The steps behind the first, which warms caches up; the trace covers as much of them as one looks at.
void report(const Profile& profile, const RunFolder& folder) {
  const std::int64_t steps = profile.total(Span::Kind::section, "optimizer").calls;
  if (steps == 0) return;
  const std::filesystem::path trace = folder.path() / "trace.json";
  save_trace(profile, trace);
  std::cout << profile_table(profile, steps)
            << fmt::format("trace: {} ({}; opens in ui.perfetto.dev)\n", trace.string(),
                           profile.spans_are_all() ? "whole" : "the first steps");
}

int train(const Arguments& arguments, const std::vector<std::string>& command) {
  Preset preset = chosen_preset(arguments);
  if (arguments.count) {
    std::cout << counted(count_parameters(preset.model)) << "\n";
    return 0;
  }
  const Device device = chosen_device(arguments.device, arguments.gemm, arguments.tf32);
  if (arguments.threads) set_num_threads(*arguments.threads);
  const bool in_halves = is_half(preset.model.dtype);

  const data::Text text = data::find_text(arguments.data, [](std::string_view line) { std::cout << line << "\n"; });
  const auto again = arguments.out ? with_option(command, "--out", next_folder(*arguments.out)) : command;
  std::cout << data::sample_notice(text, shell_command(again)) << std::flush;
  const auto tokenizer = naming(text.place, [&] { return data::CharTokenizer(text.text); });
  if (preset.fits_vocabulary) preset.model.vocab_size = tokenizer.vocab_size();
  require(tokenizer.vocab_size() <= preset.model.vocab_size, [&] {
    return fmt::format("the text has {} different characters, more than vocab_size = {}", tokenizer.vocab_size(),
                       preset.model.vocab_size);
  });
  const data::Corpus corpus = naming(text.place, [&] {
    return data::make_corpus(text.text, tokenizer, preset.model.context, preset.training.tunes());
  });
  if (device != Device::cuda) require_memory(preset, available_memory());  // a GPU tells by itself what does not fit

  note_interrupts();
  RunFolder folder(arguments.out.value_or(default_run_folder(preset.name)));
  Generator generator(preset.training.seed);
  DeepSeekLM model(preset.model, generator);
  model.to(device);
  std::cout << counted(count_parameters(preset.model)) << "\n"
            << fmt::format("{} threads, matrix products by {}{}; {} tokens to train on, {}{} to validate on",
                           num_threads(), products_on(device),
                           in_halves ? fmt::format(" in {}", name_of(preset.model.dtype)) : "",
                           data::with_thousands(std::ssize(corpus.train)), preset.training.tunes() ? "the next " : "",
                           data::with_thousands(std::ssize(corpus.validation)))
            << (preset.training.validate_every < 0
                    ? std::string("\n")
                    : fmt::format(", {} windows a sweep (--set validate_every=-1: none)\n",
                                  data::with_thousands((std::ssize(corpus.validation) - 2) / preset.model.context + 1)))
            << std::flush;
  save_description(folder.path(), preset, tokenizer);

  std::optional<Profile> profile;
  if (arguments.profile) profile.emplace();
  const auto start = std::chrono::steady_clock::now();
  const int code = run(model, corpus, tokenizer, preset.training, folder);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (!folder.kept()) return code;
  if (profile) report(*profile, folder);
  const MemoryStatistics memory = memory_statistics(device);
  std::cout << fmt::format("time: {:.1f} s with validation and samples\n", seconds)
            << fmt::format("memory of {}: at most {:.1f} MiB in tensors at once, {:.1f} MiB taken from the {}\n",
                           name_of(device), static_cast<double>(memory.peak) / 0x1p20,
                           static_cast<double>(held_memory(device)) / 0x1p20,
                           device == Device::cpu ? "system" : "device");
  const std::string name = folder.path().string();
  std::vector<std::string> next = {program_beside(command.front(), "generate"), "--from", name};
  if (can_encode(tokenizer, "ROMEO:")) next.insert(next.end(), {"--prompt", "ROMEO:"});
  const auto no_curve = draw_loss_curve(folder.path());
  std::cout << "run folder: " << name << " (metrics.jsonl, model.safetensors"
            << (no_curve ? ")\n" + *no_curve : std::string(", loss.svg)")) << "\n"
            << "to go on from a prompt: " << shell_command(next) << std::endl;
  return interrupt() == 0 ? code : 128 + interrupt();
}

}  // namespace

int main(int argc, char** argv) {
  bound_waiting(argv);
  CLI::App app{"Trains a DeepSeek language model (MLA + MoE) on a text.", "train"};
  Arguments arguments;
  add_options(app, arguments);
  return run_program(app, argc, argv, [&] { return train(arguments, {argv, argv + argc}); });
}
