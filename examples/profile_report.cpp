#include "examples/profile_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <vector>

#include "autograd/error.hpp"

namespace folio::examples {
namespace {

using Kind = Span::Kind;

constexpr const char* kind_names[] = {"section", "forward", "backward", "kernel", "kernel outside ops"};

/// An op both ways, or a kernel outside ops, whose time is all forward.
struct Line {
  std::string name;
  Profile::Total forward, backward;
  double seconds() const { return forward.seconds + backward.seconds; }
};

std::vector<Line> lines_of(const Profile& profile) {
  std::map<std::string_view, Line> ops;
  std::vector<Line> lines;
  for (const auto& [key, total] : profile.totals()) {
    const auto& [kind, name] = key;
    if (kind == Kind::forward) ops[name].forward = total;
    if (kind == Kind::backward) ops[name].backward = total;
    if (kind == Kind::loose) lines.push_back({fmt::format("({})", name), total, {}});
  }
  for (auto& [name, line] : ops) {
    line.name = name;
    lines.push_back(line);
  }
  std::ranges::sort(lines, [](const Line& a, const Line& b) { return a.seconds() > b.seconds(); });
  return lines;
}

std::string rate(const Profile::Total& total) {
  if (total.seconds == 0 || total.cost.bytes == 0) return "";
  return total.cost.flops > 0 ? fmt::format("{:.1f} GFLOP/s", total.cost.flops / total.seconds / 1e9)
                              : fmt::format("{:.1f} GB/s", total.cost.bytes / total.seconds / 1e9);
}

}  // namespace

std::string profile_table(const Profile& profile, std::int64_t steps) {
  const double all = profile.seconds(Kind::section), per_step = 1 / static_cast<double>(steps);
  const auto row = [&](const std::string& name, double seconds, const std::string& ways = "") {
    return fmt::format("{:<20}{:>10.3f}{:>7.1f} %{}\n", name, 1e3 * per_step * seconds, 100 * seconds / all, ways);
  };
  const auto way = [&](const Profile::Total& total) {
    return total.calls == 0 ? std::string(35, ' ')
                            : fmt::format("{:>11.3f}{:>8.1f}{:>16}", 1e3 * per_step * total.seconds,
                                          per_step * static_cast<double>(total.calls), rate(total));
  };
  std::string text = fmt::format("profile of {} steps of {:.3f} ms; times, in ms, and calls are per step\n", steps,
                                 1e3 * per_step * all) +
                     fmt::format("{:<20}{:>10}{:>9}{:>11}{:>8}{:>16}{:>11}{:>8}{:>16}\n", "op, or (kernel)", "ms",
                                 "share", "forward", "calls", "rate", "backward", "calls", "rate");
  double told = 0;
  for (const Line& line : lines_of(profile)) {
    text += row(line.name, line.seconds(), way(line.forward) + way(line.backward));
    told += line.seconds();
  }
  text += row("outside ops", all - told);
  for (const auto& [key, total] : profile.totals()) {
    if (key.first == Kind::section) text += row(fmt::format("section {}", key.second), total.seconds);
  }
  return text;
}

void save_trace(const Profile& profile, const std::filesystem::path& path) {
  std::ofstream out(path);
  out << R"({"displayTimeUnit":"ms","traceEvents":[)";
  const char* separator = "\n";
  const auto nanoseconds = [](double seconds) { return std::round(1e9 * seconds); };
  for (const Span& span : profile.spans()) {
    const double start = nanoseconds(span.start), end = nanoseconds(span.start + span.seconds);
    const nlohmann::json event = {{"ph", "X"},
                                  {"pid", 1},
                                  {"tid", 1},
                                  {"name", span.name},
                                  {"cat", kind_names[static_cast<std::size_t>(span.kind)]},
                                  {"ts", start / 1e3},
                                  {"dur", (end - start) / 1e3}};
    out << separator << event.dump();
    separator = ",\n";
  }
  out << "\n]}\n" << std::flush;
  require(out.good(), [&] { return "cannot write the trace to " + path.string(); });
}

}  // namespace folio::examples
