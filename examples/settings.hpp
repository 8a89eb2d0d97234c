#pragma once
#include <cstdint>
#include <string>

namespace folio::examples {

/// How a model is trained; what it is stands in nn::DeepSeekConfig.
struct TrainSettings {
  std::int64_t steps = 1000;        ///< optimizer steps
  std::int64_t batch = 16;          ///< windows per micro-batch
  std::int64_t accumulate = 1;      ///< micro-batches per optimizer step
  std::string optimizer = "adamw";  ///< adamw, or muon: Muon for matrices between hidden layers, AdamW for the rest
  double lr = 3e-4;                 ///< peak learning rate of AdamW
  double muon_lr = 0;               ///< peak learning rate of Muon; 0: lr
  double muon_momentum = 0.95;
  std::int64_t muon_iterations = 5;
  std::int64_t muon_block = 0;       ///< rows orthogonalised together in matrices of more rows and columns; 0: all
  std::string muon_dtype = "model";  ///< of Muon's products: f32, bf16, f16, or model: that of the activations
  double lr_floor = 0.1;             ///< share of lr at the end of the cosine; 1 keeps it constant
  std::int64_t warmup = 50;          ///< steps of linear warm-up
  double weight_decay = 0.1;
  double beta1 = 0.9;
  double beta2 = 0.95;
  double clip = 1.0;     ///< largest global gradient norm
  double ema_decay = 0;  ///< of the weights' average, which is validated, sampled and saved; 0: no average
  std::string sampling = "independent";  ///< of windows: independent, or epochs, in which each comes once
  std::uint64_t seed = 1;
  std::int64_t log_every = 10;      ///< steps between log lines
  std::int64_t validate_every = 0;  ///< steps between sweeps of the validation text; 0: at the end only; -1: never
  /// validation, or tuning: the last 5 % of the training text, which are then not trained on.
  std::string validate_on = "validation";
  std::int64_t sample_every = 0;  ///< steps between samples; 0: at the end only; -1: never
  std::int64_t sample_tokens = 200;

  double muon_peak() const { return muon_lr > 0 ? muon_lr : lr; }
  bool tunes() const { return validate_on == "tuning"; }
  /// Whether what comes every `every` steps comes after step n (from 1).
  bool due(std::int64_t every, std::int64_t n) const {
    return every >= 0 && (n == steps || (every > 0 && n % every == 0));
  }

  /// Calls f(key, value) for every setting: the one list behind --set, config.json and error messages.
  template <class Self, class F>
  static void visit(Self& s, F&& f) {
    f("steps", s.steps), f("batch", s.batch), f("accumulate", s.accumulate), f("optimizer", s.optimizer);
    f("lr", s.lr), f("muon_lr", s.muon_lr), f("muon_momentum", s.muon_momentum), f("muon_dtype", s.muon_dtype);
    f("muon_iterations", s.muon_iterations), f("muon_block", s.muon_block);
    f("lr_floor", s.lr_floor);
    f("warmup", s.warmup), f("weight_decay", s.weight_decay), f("beta1", s.beta1), f("beta2", s.beta2);
    f("clip", s.clip), f("ema_decay", s.ema_decay), f("sampling", s.sampling), f("seed", s.seed);
    f("log_every", s.log_every), f("validate_every", s.validate_every), f("validate_on", s.validate_on);
    f("sample_every", s.sample_every), f("sample_tokens", s.sample_tokens);
  }

  /// One clear Error for the first setting that makes no sense.
  void validate() const;
};

}  // namespace folio::examples
