#include "examples/memory.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "autograd/error.hpp"

namespace folio::examples {

MemoryEstimate estimated_memory(const Preset& preset) {
  const DeepSeekConfig& c = preset.model;
  const auto layers = static_cast<double>(c.num_hidden_layers);
  const auto active = static_cast<double>((c.num_shared_experts + c.num_active_experts) * c.expert_intermediate_size);
  // Two streams and two norms of the width; gate, value and product of each expert.
  const double saved_of_token = layers * (4.0 * static_cast<double>(c.hidden_size) + 3.0 * active);
  const double logits_of_token = 2.0 * static_cast<double>(c.vocab_size);
  const ParameterCount count = count_parameters(c);
  const std::int64_t moments = 2 * count.total - (preset.training.optimizer == "muon" ? count.matrices : 0);
  const std::int64_t averages = preset.training.ema_decay > 0 ? count.total : 0;
  constexpr double bytes = 4;
  return {.model = bytes * static_cast<double>(2 * count.total + moments + averages),
          .per_window = static_cast<double>(size_of(c.dtype)) * (saved_of_token + logits_of_token) *
                        static_cast<double>(c.context)};
}

double available_memory() {
  std::ifstream lines("/proc/meminfo");
  std::string name;
  for (double kibibytes = 0; lines >> name >> kibibytes; lines.ignore(80, '\n')) {
    if (name == "MemAvailable:") return 1024 * kibibytes;
  }
  return static_cast<double>(::sysconf(_SC_PHYS_PAGES)) * static_cast<double>(::sysconf(_SC_PAGE_SIZE));
}

void require_memory(const Preset& preset, double available) {
  const MemoryEstimate estimate = estimated_memory(preset);
  constexpr double gib = 1 << 30;
  const auto fits = static_cast<std::int64_t>((available - estimate.model) / estimate.per_window);
  require(estimate.of(preset.training.batch) <= available, [&] {
    return fmt::format("out of memory: this run needs at least {:.1f} GiB, {:.1f} are free; ",
                       estimate.of(preset.training.batch) / gib, available / gib) +
           (fits < 1 ? "choose a smaller model" : fmt::format("--batch {} might fit", fits));
  });
}

}  // namespace folio::examples
