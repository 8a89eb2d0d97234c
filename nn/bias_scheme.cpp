#include "nn/bias_scheme.hpp"

#include <algorithm>
#include <numeric>

#include "autograd/error.hpp"

namespace folio {
namespace {

double mean_of(std::span<const std::int64_t> loads) {
  const auto total = std::accumulate(loads.begin(), loads.end(), std::int64_t{0});
  return static_cast<double>(total) / static_cast<double>(loads.size());
}

double sign(double x) { return x > 0 ? 1 : x < 0 ? -1 : 0; }

struct None : BiasScheme {
  void update(std::span<float>, std::span<const std::int64_t>) override {}
};

struct Sign : BiasScheme {
  Sign(double rate, bool centred) : rate(rate), centred(centred) {}
  void update(std::span<float> bias, std::span<const std::int64_t> loads) override {
    const double mean = mean_of(loads);
    std::vector<double> step;
    for (std::int64_t load : loads) step.push_back(sign(mean - static_cast<double>(load)));
    const double centre =
        centred ? std::accumulate(step.begin(), step.end(), 0.0) / static_cast<double>(step.size()) : 0;
    for (std::size_t e = 0; e < bias.size(); ++e) bias[e] += static_cast<float>(rate * (step[e] - centre));
  }
  double rate;
  bool centred;
};

struct Proportional : BiasScheme {
  explicit Proportional(double rate) : rate(rate) {}
  void update(std::span<float> bias, std::span<const std::int64_t> loads) override {
    const double mean = mean_of(loads);
    for (std::size_t e = 0; e < bias.size(); ++e) {
      bias[e] += static_cast<float>(rate * (mean - static_cast<double>(loads[e])) / mean);
    }
  }
  double rate;
};

}  // namespace

std::vector<std::string> bias_scheme_names() { return {"none", "sign", "centred_sign", "proportional"}; }

std::unique_ptr<BiasScheme> make_bias_scheme(const std::string& name, double rate) {
  if (name == "none") return std::make_unique<None>();
  if (name == "sign") return std::make_unique<Sign>(rate, false);
  if (name == "centred_sign") return std::make_unique<Sign>(rate, true);
  if (name == "proportional") return std::make_unique<Proportional>(rate);
  std::string known;
  for (const std::string& each : bias_scheme_names()) known += (known.empty() ? "" : ", ") + each;
  throw Error("configuration: bias_scheme '" + name + "' is unknown; there are " + known);
}

double max_violation(std::span<const std::int64_t> loads) {
  const double mean = loads.empty() ? 0 : mean_of(loads);
  return mean > 0 ? (static_cast<double>(*std::max_element(loads.begin(), loads.end())) - mean) / mean : 0;
}

}  // namespace folio
