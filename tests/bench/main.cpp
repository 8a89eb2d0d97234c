// bench: how fast ops, training steps and decoding are on this machine, beside what the machine can do at best.
// The flags of Google Benchmark (--benchmark_filter=REGEX, --benchmark_min_time=SECONDS …) come with it.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <vector>

#include "autograd/settings.hpp"
#include "autograd/threads.hpp"
#include "examples/device.hpp"
#include "examples/presets.hpp"
#include "examples/program.hpp"
#include "tests/bench/benchmarks.hpp"
#include "tests/bench/work.hpp"

using namespace folio;
using namespace folio::bench;

namespace {

struct Arguments {
  std::string device = "cpu", dtype = "f32";
  std::optional<std::string> gemm;
  std::optional<bool> tf32;
  int threads = 0;
  double ceilings = 0.5;
  std::vector<std::string> settings;
};

const std::map<std::string, DType> dtypes = {
    {"f32", DType::float32}, {"bf16", DType::bfloat16}, {"f16", DType::float16}};

int run(const Arguments& arguments, const std::string& program, std::vector<std::string> rest) {
  if (arguments.threads > 0) set_num_threads(arguments.threads);
  rest.insert(rest.begin(), program);
  int argc = static_cast<int>(rest.size());
  std::vector<char*> argv(rest.size() + 1);
  std::ranges::transform(rest, argv.begin(), [](std::string& argument) { return argument.data(); });
  benchmark::Initialize(&argc, argv.data());
  require(argc == 1, [&] { return std::string("unknown argument '") + argv[1] + "'"; });

  Place place =
      place_on(examples::chosen_device(arguments.device, arguments.gemm, arguments.tf32), dtypes.at(arguments.dtype));
  place.settings = arguments.settings;
  measured_preset("tiny", place);  // which a wrong setting ends before anything is measured
  place.ceilings = measure_ceilings(place, arguments.ceilings);
  benchmark::AddCustomContext("device", place.description() + ", in " + name_of(place.dtype));
  benchmark::AddCustomContext("ceilings", place.ceilings.description());
  for (const examples::Preset& preset : examples::all_presets()) {
    register_ops(preset.name, place);
    register_updates(preset.name, place);
    register_step(preset.name, place);
  }
  for (const char* preset : {"tiny", "shakespeare-char"}) {
    register_growth(preset, place);
    register_decode(preset, place);
    register_routing(preset, place);
  }
  require(benchmark::RunSpecifiedBenchmarks() > 0, [] { return std::string("no benchmark fits the filter"); });
  benchmark::Shutdown();
  require(failed_benchmarks() == 0, [] { return std::to_string(failed_benchmarks()) + " benchmarks failed"; });
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Measures ops, training steps and decoding, and what the machine can do at best.", "bench"};
  Arguments arguments;
  app.add_option("--device", arguments.device, examples::device_help)->capture_default_str();
  app.add_option("--dtype", arguments.dtype, "what ops read and models compute in: f32, bf16 or f16")
      ->check(CLI::IsMember(dtypes))
      ->capture_default_str();
  app.add_flag_function(
      "--tf32,!--no-tf32", [&](std::int64_t given) { arguments.tf32 = given > 0; },
      "float32 matrix products on a GPU round their factors to TensorFloat-32; on for cuda if not given");
  app.add_option("--gemm", arguments.gemm, "who multiplies matrices: eigen or onednn; the fastest if not given");
  app.add_option("--threads", arguments.threads, "CPU threads")->check(examples::whole_number<int>(1));
  app.add_option("--ceilings", arguments.ceilings, "seconds to spend on each of the machine's figures")
      ->check(examples::number("of at least 0", [](double x) { return x >= 0; }))
      ->capture_default_str();
  app.add_option("--set", arguments.settings,
                 "a setting of the model or of the optimizer, in every preset that is measured")
      ->type_name("key=value")
      ->expected(1)
      ->take_all()
      ->allow_extra_args(false);
  app.allow_extras();
  return examples::run_program(app, argc, argv, [&] { return run(arguments, argv[0], app.remaining()); });
}
