#include "cuda/emulated/launch.hpp"

#include "cuda/emulated/block.hpp"
#include "cuda/emulated/device_memory.hpp"
#include "cuda/emulated/shared_memory.hpp"
#include "cuda/emulated/status.hpp"
#include "cuda/emulated/symbols.hpp"
#include "cuda/emulated/text.hpp"

namespace folio::cuda_emulated {
namespace {

constexpr std::size_t parameter_limit = 32764;  // of compute capability 7.0 on, since CUDA 12.1; before, 4096

struct Launches {
  std::map<std::string, std::int64_t> counts;
  std::map<std::uintptr_t, int> dynamic_limit;  // cudaFuncSetAttribute
};

Launches& launches() {
  static Launches* const the = new Launches;
  return *the;
}

void check_limits(const LaunchRequest& r, std::int64_t wide_grid) {
  const auto refuse_launch = [&](const std::string& what) {
    throw Fault(FaultKind::launch,
                "kernel " + kernel_name(r.kernel) + ", launched at " + place_of(r.where) + ": " + what);
  };
  const dim3 b = r.block, g = r.grid;
  if (b.count() == 0) refuse_launch("a block of no threads " + triple(b));
  if (b.x > 1024 || b.y > 1024 || b.z > 64 || b.count() > 1024) {
    refuse_launch("block " + triple(b) + ": at most 1024 threads, and 64 in z");
  }
  if (r.thread_limit > 0 && b.count() > static_cast<std::size_t>(r.thread_limit)) {
    refuse_launch("block of " + std::to_string(b.count()) + " threads, its __launch_bounds__ allow " +
                  std::to_string(r.thread_limit));
  }
  if (wide_grid < 0 || wide_grid > 2147483647 || g.x > 2147483647u || g.y > 65535 || g.z > 65535) {
    refuse_launch("grid " + (wide_grid < 0 || wide_grid > 2147483647 ? "of " + std::to_string(wide_grid) : triple(g)) +
                  ": at most 2147483647 blocks in x, 65535 in y and z");
  }
  if (r.parameter_bytes > parameter_limit) {
    refuse_launch("parameters of " + std::to_string(r.parameter_bytes) + " bytes, allowed are " +
                  std::to_string(parameter_limit));
  }
  const auto opted = launches().dynamic_limit.find(r.kernel);
  const std::size_t limit =
      opted == launches().dynamic_limit.end() ? shared_limit : static_cast<std::size_t>(opted->second);
  if (r.dynamic_bytes > limit) {
    refuse_launch("dynamic shared memory of " + std::to_string(r.dynamic_bytes) + " bytes, allowed are " +
                  std::to_string(limit) + " (cudaFuncSetAttribute raises it to " + std::to_string(shared_opt_in_limit) +
                  ")");
  }
}

const std::string* checked_name = nullptr;

void check_pointer(int index, const void* pointer) {
  if (pointer == nullptr || home_of(pointer, 0) != Home::host) return;
  throw Fault(FaultKind::memory, "kernel " + *checked_name + ": argument " + std::to_string(index) +
                                     " points to no device memory (host memory, or freed)");
}

void check_guards(int index, const void* pointer) {
  const auto offset = take_stray_write(pointer);
  if (!offset) return;
  throw Fault(FaultKind::memory, "kernel " + *checked_name + " wrote outside its argument " + std::to_string(index) +
                                     ": at offset " + std::to_string(*offset) + ", " + describe_address(pointer));
}

void execute(const LaunchRequest& request) {
  const std::string name = kernel_name(request.kernel);
  checked_name = &name;
  request.each_pointer(request.arguments.get(), check_pointer);
  try {
    block().run(request, name);
  } catch (...) {  // the first fault is the one to tell; a stray write of the same kernel is only made good
    request.each_pointer(request.arguments.get(), [](int, const void* pointer) { take_stray_write(pointer); });
    throw;
  }
  request.each_pointer(request.arguments.get(), check_guards);
}

}  // namespace

void enqueue_launch(LaunchRequest request, std::int64_t wide_grid) {
  const std::lock_guard lock(streams().mutex);
  if (cudaPeekAtLastError() == cudaErrorLaunchFailure) check(cudaErrorLaunchFailure);
  if (request.grid.count() == 0 && wide_grid == 0) return;
  check_limits(request, wide_grid);
  const auto stream = streams().find(request.stream);
  require(stream != nullptr, [] { return "launch on a stream that does not exist"; });
  request.opted_in = launches().dynamic_limit.contains(request.kernel);
  ++launches().counts[kernel_name(request.kernel)];
  streams().put(stream, {.run = [request = std::move(request)] { execute(request); }});
}

int launch_bound(std::uintptr_t kernel, const std::uintptr_t* begin, const std::uintptr_t* end) {
  constexpr unsigned char nop = 0x90;
  for (const auto* entry = begin; entry < end; ++entry) {
    const std::uintptr_t threads = kernel - *entry;
    if (*entry >= kernel || threads > 1024) continue;
    const auto* code = reinterpret_cast<const unsigned char*>(*entry);
    std::uintptr_t nops = 0;
    while (nops < threads && code[nops] == nop) ++nops;
    if (nops == threads) return static_cast<int>(threads);
  }
  return 0;
}

cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute, int value) {
  return call([&] {
    if (value < 0 || static_cast<std::size_t>(value) > shared_opt_in_limit) {
      return refuse(cudaErrorInvalidValue, "dynamic shared memory of " + std::to_string(value) +
                                               " bytes, a block may have at most " +
                                               std::to_string(shared_opt_in_limit));
    }
    launches().dynamic_limit[reinterpret_cast<std::uintptr_t>(kernel)] = value;
    return cudaSuccess;
  });
}

std::map<std::string, std::int64_t> launch_counts() {
  const std::lock_guard lock(streams().mutex);
  return launches().counts;
}

void count_launch(const char* name) {
  const std::lock_guard lock(streams().mutex);
  ++launches().counts[name];
}

void reset_launch_counts() {
  const std::lock_guard lock(streams().mutex);
  launches().counts.clear();
}

}  // namespace folio::cuda_emulated
