// The barrier-deletion table: each barrier of the op kernels is taken away in turn, by its file and line, and the
// results must differ from those with it, or the emulator must object, in some order of threads. A barrier whose loss is
// never seen is not needed, or its kernel is not tested; so is one that stands in a kernel's source and is never met.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "autograd/autograd.hpp"
#include "cuda/backend.hpp"
#include "cuda/emulated/control.hpp"

namespace folio {
namespace {

using cuda_emulated::BarrierSite;
using cuda_emulated::Order;

constexpr Device gpu = Device::cuda_emulated;

/// Sizes beyond one warp, one tile and one block, so that what a barrier parts is really there.
std::vector<double> work() {
  Generator generator(7);
  const auto random = [&](const Shape& shape) { return randn(shape, generator, {DType::float64, gpu}); };
  std::vector<double> all;
  const auto keep = [&](const Tensor& x) {
    for (double v : x.to_vector()) all.push_back(v);
  };
  {
    const Tensor chosen = uniform({280, 2}, generator, 0, 70).to(DType::int32).to(gpu);
    const Routing routing = route(chosen, 70);
    keep(routing.offsets);
    keep(routing.token_of_row);
    keep(routing.row_of);
  }
  {
    const GateOptions by_groups = {.k = 7, .n_group = 10, .topk_group = 4};
    const Gating gating = choose_experts(random({40, 70}), random({70}), by_groups);
    keep(gating.chosen);
    keep(gating.weights);
  }
  const Tensor index = uniform({300}, generator, 0, 3).to(DType::int32).to(gpu);
  keep(index_add(random({3, 70}), index, random({300, 70})));
  {
    Tensor q = random({1, 40, 1, 10}), k = random({1, 40, 1, 7}), v = random({1, 40, 1, 6}),
           shared = random({1, 40, 3});
    for (Tensor* x : {&q, &k, &v, &shared}) x->requires_grad(true);
    Tape tape;
    const Tensor y = causal_attention(q, k, v, shared, 0.3);
    tape.backward(sum(y * y));
    keep(y);
    for (const Tensor* x : {&q, &k, &v, &shared}) keep(x->grad());
  }
  {
    Tensor weight = random({70});
    weight.requires_grad(true);
    Tape tape;
    const Tensor y = rms_norm(random({40, 70}), weight);
    tape.backward(sum(y * y));
    keep(weight.grad());
  }
  return all;
}

/// The barriers that stand in the kernels' sources, comments aside.
std::vector<BarrierSite> written_barriers() {
  std::vector<BarrierSite> sites;
  for (const auto& entry : std::filesystem::directory_iterator(FOLIO_KERNELS_FOLDER)) {
    const std::string extension = entry.path().extension();
    if (extension != ".cu" && extension != ".hpp") continue;
    std::ifstream lines(entry.path());
    std::string line;
    for (unsigned number = 1; std::getline(lines, line); ++number) {
      const std::string code = line.substr(0, line.find("//"));
      if (code.find("__syncthreads") != std::string::npos || code.find("__syncwarp") != std::string::npos)
        sites.push_back({"cuda/" + entry.path().filename().string(), number});
    }
  }
  std::sort(sites.begin(), sites.end());
  return sites;
}

bool holds(const std::vector<double>& expected) {
  try {
    return work() == expected;
  } catch (const Error&) {
    return false;  // the emulator objects: garbage led outside, or threads did not meet
  }
}

TEST(CudaBarriers, EachOneIsNeeded) {
  cuda_emulated::enable();
  cuda_emulated::set_order(Order::in_order);
  cuda_emulated::reset_barrier_sites();
  const std::vector<double> expected = work();
  const auto sites = cuda_emulated::barrier_sites();
  const auto written = written_barriers();
  ASSERT_FALSE(written.empty()) << FOLIO_KERNELS_FOLDER;
  for (const BarrierSite& site : written) {
    EXPECT_TRUE(std::binary_search(sites.begin(), sites.end(), site))
        << site.file << ":" << site.line << " is never met: give work() what its kernel computes";
  }
  std::size_t needed = 0;
  for (const BarrierSite& site : sites) {
    std::string by;
    int caught = 0;
    {
      const cuda_emulated::DeletedBarrier deleted(site);
      for (const Order order : cuda_emulated::all_orders) {
        int here = 0;
        for (int seed = 0; seed < 3; ++seed) {
          cuda_emulated::set_order(order, static_cast<std::uint64_t>(seed));
          here += !holds(expected);
        }
        caught += here;
        by += std::string("  ") + name_of(order) + " " + std::to_string(here) + "/3";
      }
    }
    cuda_emulated::set_order(Order::in_order);
    EXPECT_TRUE(holds(expected)) << "the barrier stands again";
    std::printf("%-32s line %3u  caught:%s\n", site.file.c_str(), site.line, by.c_str());
    EXPECT_GT(caught, 0) << site.file << ":" << site.line;
    needed += caught > 0;
  }
  std::printf("%zu of %zu deletions caught\n", needed, sites.size());
}

}  // namespace
}  // namespace folio
