#include "examples/memory.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>
#include <string_view>

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

namespace {

/// The number behind `key` in a file of lines "KEY NUMBER …"; `otherwise` where there is none.
double number_in(const std::filesystem::path& file, std::string_view key, double otherwise) {
  std::ifstream lines(file);
  std::string name;
  for (double number = 0; lines >> name >> number; lines.ignore(80, '\n')) {
    if (name == key) return number;
  }
  return otherwise;
}

double first_number(const std::filesystem::path& file, double otherwise) {
  double number = 0;
  return std::ifstream(file) >> number ? number : otherwise;
}

constexpr double unlimited = std::numeric_limits<double>::infinity();

/// What a control group (version 2) leaves, of which pages of files are given up where memory is short.
double left_by(const std::filesystem::path& group) {
  const double files =
      number_in(group / "memory.stat", "active_file", 0) + number_in(group / "memory.stat", "inactive_file", 0);
  return first_number(group / "memory.max", unlimited) - first_number(group / "memory.current", 0) + files;
}

/// What the groups of this process leave, each within the one above it.
double left_by_groups(const std::filesystem::path& root) {
  double least = unlimited;
  std::ifstream lines(root / "proc/self/cgroup");
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("0::/")) continue;
    std::filesystem::path group = root / "sys/fs/cgroup";
    for (const auto& part : std::filesystem::path(line.substr(3))) {
      if (part != "/") group /= part;
      least = std::min(least, left_by(group));
    }
  }
  return least;
}

}  // namespace

double available_memory(const std::filesystem::path& root) {
  const double machine = static_cast<double>(::sysconf(_SC_PHYS_PAGES)) * static_cast<double>(::sysconf(_SC_PAGE_SIZE));
  const double free = 1024 * number_in(root / "proc/meminfo", "MemAvailable:", machine / 1024);
  return std::max(0.0, std::min(free, left_by_groups(root)));
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
