#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace folio {

/// How a router's bias follows the load, once per optimizer step (Wang et al. 2024, arXiv 2408.15664). Each layer has a
/// scheme of its own, so a scheme may remember.
///
///     struct MyScheme : BiasScheme {
///       void update(std::span<float> bias, std::span<const std::int64_t> loads) override { … }
///     };
///
/// What it remembers from step to step it names, so that it is saved and loaded with the model:
///
///       std::map<std::string, std::span<float>> state() override { return {{"momentum", momentum}}; }
///       std::vector<float> momentum = std::vector<float>(8);  // of 8 experts
class BiasScheme {
 public:
  virtual ~BiasScheme() = default;
  /// `loads[e]` is how many (token, choice) pairs expert e received in the step, over all micro-batches; they are not
  /// all 0. Adds to `bias[e]`.
  virtual void update(std::span<float> bias, std::span<const std::int64_t> loads) = 0;
  /// The numbers that outlive an update, by name: views of the scheme's own, as many from the first call on. DeepSeekMoE
  /// keeps them in buffers `scheme.NAME`, and sets them from there before each update.
  virtual std::map<std::string, std::span<float>> state() { return {}; }
};

/// The schemes that the library knows, with load error e = mean load − load:
///   none          b stays
///   sign          b += rate·sign(e)                              DeepSeek-V3
///   centred_sign  b += rate·(sign(e) − mean of sign(e))          Moonlight: the mean of b does not drift
///   proportional  b += rate·e/(mean load)                        by the relative error, whatever the batch size
/// An unknown name is an Error.
std::unique_ptr<BiasScheme> make_bias_scheme(const std::string& name, double rate);
std::vector<std::string> bias_scheme_names();

/// (max load − mean load)/mean load of one layer; 0 where there is no load.
double max_violation(std::span<const std::int64_t> loads);

}  // namespace folio
