#include "examples/memory.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "nn/nn.hpp"
#include "optim/ema.hpp"
#include "optim/muon.hpp"

namespace folio::examples {
namespace {

template <class Named>
std::int64_t numbers_of(const Named& state) {
  std::int64_t n = 0;
  for (const auto& [name, value] : state) n += value.numel();
  return n;
}

TEST(EstimatedMemory, CountsWhatTheOptimizerAndTheAverageHold) {
  Preset preset = find_preset("tiny");
  Generator generator(1);
  const DeepSeekLM model(preset.model, generator);
  const Parameters parameters = model.parameters();
  const std::int64_t weights = count_parameters(preset.model).total;
  const std::int64_t adamw = numbers_of(optim::AdamW(parameters).state());
  const std::int64_t muon = numbers_of(optim::Muon(parameters).state());
  const std::int64_t average = numbers_of(optim::EMA(parameters, 0.9).state());
  EXPECT_LT(muon, adamw);
  const auto expect = [&](const char* optimizer, const char* ema_decay, std::int64_t held) {
    preset.set("optimizer", optimizer), preset.set("ema_decay", ema_decay);
    EXPECT_EQ(estimated_memory(preset).model, 4.0 * static_cast<double>(2 * weights + held)) << optimizer << ema_decay;
  };
  expect("adamw", "0", adamw);
  expect("adamw", "0.9", adamw + average);
  expect("muon", "0", muon);
  expect("muon", "0.9", muon + average);
}

TEST(AvailableMemory, IsWhatMachineAndControlGroupsLeave) {
  const std::filesystem::path root = std::filesystem::path(testing::TempDir()) / "folio_available_memory";
  const auto put = [&](const std::string& file, const std::string& text) {
    std::filesystem::create_directories((root / file).parent_path());
    std::ofstream(root / file) << text;
  };
  put("proc/meminfo", "MemTotal: 9000 kB\nMemFree: 1 kB\nMemAvailable: 8000 kB\nHugePages_Total: 0\n");
  EXPECT_EQ(available_memory(root), 8000 * 1024);
  put("proc/self/cgroup", "3:cpuset:/other\n0::/outer/inner\n");
  EXPECT_EQ(available_memory(root), 8000 * 1024);
  put("sys/fs/cgroup/outer/inner/memory.max", "max\n");
  put("sys/fs/cgroup/outer/inner/memory.current", "70000\n");
  EXPECT_EQ(available_memory(root), 8000 * 1024);
  put("sys/fs/cgroup/outer/memory.max", "100000\n");
  put("sys/fs/cgroup/outer/memory.current", "90000\n");
  EXPECT_EQ(available_memory(root), 10000);
  put("sys/fs/cgroup/outer/memory.stat", "anon 5\ninactive_file 300\nactive_file 40\n");
  EXPECT_EQ(available_memory(root), 10340);
  put("sys/fs/cgroup/memory.max", "100\n");
  put("sys/fs/cgroup/memory.current", "101\n");
  EXPECT_EQ(available_memory(root), 0);
  std::filesystem::remove_all(root);
}

}  // namespace
}  // namespace folio::examples
