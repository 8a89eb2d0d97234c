#include "examples/curve.hpp"

#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "autograd/error.hpp"

namespace folio::examples {
namespace {

struct Series {
  std::ostringstream points;
  int count = 0;
};

/// Rows of metrics.jsonl that hold `key`, as gnuplot's inline data.
Series read_series(const std::filesystem::path& metrics, const char* key) {
  Series series;
  std::ifstream in(metrics);
  for (std::string line; std::getline(in, line);) {
    const auto row = nlohmann::json::parse(line, nullptr, false);
    if (!row.is_object() || !row.contains(key) || !row[key].is_number()) continue;
    series.points << row["step"] << ' ' << row[key] << '\n';
    ++series.count;
  }
  return series;
}

}  // namespace

std::optional<std::string> draw_loss_curve(const std::filesystem::path& folder) {
  const Series loss = read_series(folder / "metrics.jsonl", "loss");
  const Series validation = read_series(folder / "metrics.jsonl", "val_loss");
  if (loss.count == 0) return "no curve: metrics.jsonl holds no losses yet";
  std::FILE* gnuplot = ::popen("gnuplot 2>/dev/null", "w");
  if (gnuplot == nullptr) return "no curve: gnuplot does not start";
  std::string script =
      "set terminal svg size 800,480 font 'sans-serif,13' background rgb 'white'\nset output '" +
      (folder / "loss.svg").string() +
      "'\nset xlabel 'optimizer step'\nset ylabel 'loss (nats per token)'\nset grid\nset key top right\n";
  script += "$loss << EOD\n" + loss.points.str() + "EOD\n$validation << EOD\n" + validation.points.str() + "EOD\n";
  script += "plot $loss with lines lw 1.5 lc rgb '#4477aa' title 'training'";
  if (validation.count > 0)
    script += ", $validation with linespoints lw 2 pt 7 ps 0.5 lc rgb '#cc6677' title 'validation'";
  script += "\n";
  std::fputs(script.c_str(), gnuplot);
  if (::pclose(gnuplot) != 0) return "no curve: gnuplot is missing or failed (Debian package gnuplot-nox)";
  return std::nullopt;
}

}  // namespace folio::examples
