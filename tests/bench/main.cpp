// bench: how fast ops, training steps and decoding are on this machine, beside what the machine can do at best.
// The flags of Google Benchmark (--benchmark_filter=REGEX, --benchmark_min_time=SECONDS …) come with it.
#include <fmt/format.h>

#include <algorithm>

#include "autograd/settings.hpp"
#include "autograd/threads.hpp"
#include "examples/program.hpp"
#include "tests/bench/benchmarks.hpp"

using namespace folio;
using namespace folio::bench;

namespace {

struct Arguments {
  std::string gemm;
  int threads = 0;
  double ceilings = 0.5;
};

std::string described(const Ceilings& ceilings) {
  std::string text =
      fmt::format("float32 with {} threads: multiply-add {:.0f} GFLOP/s", num_threads(), ceilings.fma / 1e9);
  for (const auto& [provider, rate] : ceilings.product) {
    text += fmt::format(", matrix product by {} {:.0f} GFLOP/s", name_of(provider), rate / 1e9);
  }
  return text + fmt::format(", copy {:.1f} GB/s; in use: {}", ceilings.copy / 1e9, name_of(gemm_provider()));
}

int run(const Arguments& arguments, const std::string& program, std::vector<std::string> rest) {
  if (!arguments.gemm.empty()) set_gemm_provider(arguments.gemm);
  if (arguments.threads > 0) set_num_threads(arguments.threads);
  rest.insert(rest.begin(), program);
  int argc = static_cast<int>(rest.size());
  std::vector<char*> argv(rest.size() + 1);
  std::ranges::transform(rest, argv.begin(), [](std::string& argument) { return argument.data(); });
  benchmark::Initialize(&argc, argv.data());
  require(argc == 1, [&] { return std::string("unknown argument '") + argv[1] + "'"; });

  const Ceilings ceilings = measure_ceilings(arguments.ceilings);
  benchmark::AddCustomContext("ceilings", described(ceilings));
  for (const char* preset : {"tiny", "shakespeare-char", "deepseek-shakespeare-v3"}) {
    register_ops(preset, ceilings);
    register_step(preset, ceilings);
  }
  for (const char* preset : {"tiny", "shakespeare-char"}) {
    register_growth(preset, ceilings);
    register_decode(preset);
    register_routing(preset);
  }
  require(benchmark::RunSpecifiedBenchmarks() > 0, [] { return std::string("no benchmark fits the filter"); });
  benchmark::Shutdown();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Measures ops, training steps and decoding, and what the machine can do at best.", "bench"};
  Arguments arguments;
  app.add_option("--gemm", arguments.gemm, "who multiplies matrices: eigen or onednn; the fastest if not given");
  app.add_option("--threads", arguments.threads, "CPU threads")->check(examples::whole_number<int>(1));
  app.add_option("--ceilings", arguments.ceilings, "seconds to spend on each of the machine's figures")
      ->check(examples::number("of at least 0", [](double x) { return x >= 0; }))
      ->capture_default_str();
  app.allow_extras();
  return examples::run_program(app, argc, argv, [&] { return run(arguments, argv[0], app.remaining()); });
}
