#include "examples/curve.hpp"

#include <csignal>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "examples/command.hpp"

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

/// While it lives, writing to a program that has ended is an error, and not the end of this program.
class NoBrokenPipe {
 public:
  NoBrokenPipe() : before_(std::signal(SIGPIPE, SIG_IGN)) {}
  ~NoBrokenPipe() { std::signal(SIGPIPE, before_); }
  NoBrokenPipe(const NoBrokenPipe&) = delete;
  NoBrokenPipe& operator=(const NoBrokenPipe&) = delete;

 private:
  void (*before_)(int);
};

/// A program that is started while it lives is not ended by a Ctrl-C, which reaches all programs of a terminal, nor by the
/// end of that terminal. To this program they come when it goes. (They are held, not ignored: gnuplot handles SIGINT.)
class NoInterrupts {
 public:
  NoInterrupts() {
    sigset_t held;
    sigemptyset(&held);
    sigaddset(&held, SIGINT);
    sigaddset(&held, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &held, &before_);
  }
  ~NoInterrupts() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  NoInterrupts(const NoInterrupts&) = delete;
  NoInterrupts& operator=(const NoInterrupts&) = delete;

 private:
  sigset_t before_;
};

/// popen for writing, of a program that interrupts do not reach.
std::FILE* start(const std::string& command) {
  const NoInterrupts guard;
  return ::popen(command.c_str(), "w");
}

/// Runs gnuplot on the script; what it draws goes to the file. False where gnuplot is missing or fails.
bool plot(const std::string& script, const std::filesystem::path& file) {
  const NoBrokenPipe guard;
  std::FILE* gnuplot = start("exec gnuplot 2>/dev/null >" + shell_command({file.string()}));
  if (gnuplot == nullptr) return false;
  std::fputs(script.c_str(), gnuplot);
  return ::pclose(gnuplot) == 0;
}

}  // namespace

std::optional<std::string> draw_loss_curve(const std::filesystem::path& folder) {
  const Series loss = read_series(folder / "metrics.jsonl", "loss");
  const Series validation = read_series(folder / "metrics.jsonl", "val_loss");
  if (loss.count == 0) return "no curve: metrics.jsonl holds no losses yet";
  std::string script =
      "set terminal svg size 800,480 font 'sans-serif,13' background rgb 'white'\n"
      "set xlabel 'optimizer step'\nset ylabel 'loss (nats per token)'\nset grid\nset key top right\n";
  script += "$loss << EOD\n" + loss.points.str() + "EOD\n$validation << EOD\n" + validation.points.str() + "EOD\n";
  script += "plot $loss with lines lw 1.5 lc rgb '#4477aa' title 'training'";
  if (validation.count > 0)
    script += ", $validation with linespoints lw 2 pt 7 ps 0.5 lc rgb '#cc6677' title 'validation'";
  script += "\n";

  const std::filesystem::path curve = folder / "loss.svg", unfinished = folder / "loss.svg.tmp";
  std::error_code error;
  if (!std::ofstream(unfinished)) return "no curve: " + unfinished.string() + " cannot be written";
  const bool drawn = plot(script, unfinished);
  if (drawn) std::filesystem::rename(unfinished, curve, error);
  if (drawn && !error) return std::nullopt;
  std::error_code ignored;
  std::filesystem::remove(unfinished, ignored);
  return drawn ? "no curve: " + curve.string() + " cannot be written: " + error.message()
               : "no curve: gnuplot is missing or failed (Debian package gnuplot-nox)";
}

}  // namespace folio::examples
