#include <cxxabi.h>

#include <cstdlib>
#include <memory>
#include <mutex>

#include "autograd/error.hpp"
#include "cuda/kernel.hpp"

namespace folio::cuda {
namespace {

std::mutex counts_mutex;
std::map<const void*, std::int64_t> kernels;
std::map<std::string, std::int64_t> products;

/// "void folio::cuda::k<float>(float*)" → "k<float>"
std::string shortened(const char* mangled) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> demangled(abi::__cxa_demangle(mangled, nullptr, nullptr, &status),
                                                              &std::free);
  std::string name = status == 0 ? demangled.get() : mangled;
  for (const std::string& part : {std::string("folio::cuda::"), std::string("(anonymous namespace)::")}) {
    for (std::size_t at; (at = name.find(part)) != std::string::npos;) name.erase(at, part.size());
  }
  if (name.rfind("void ", 0) == 0) name.erase(0, 5);
  int depth = 0;
  for (std::size_t i = 0; i < name.size(); ++i) {
    depth += name[i] == '<';
    depth -= name[i] == '>';
    if (depth == 0 && name[i] == '(') return name.substr(0, i);
  }
  return name;
}

}  // namespace

void check(cudaError_t error, std::source_location where) {
  if (error == cudaSuccess) return;
  throw Error(std::string(where.file_name()) + ":" + std::to_string(where.line()) + ": " + cudaGetErrorName(error) +
              ": " + cudaGetErrorString(error));
}

unsigned LaunchGrid::narrowed(std::int64_t count, std::source_location where) {
  require(count >= 0 && count <= 2147483647, [&] {
    return std::string(where.file_name()) + ":" + std::to_string(where.line()) + ": launch: a grid of " +
           std::to_string(count) + " blocks, at most 2147483647 fit";
  });
  return static_cast<unsigned>(count);
}

void count_launch(const void* kernel) {
  const std::lock_guard lock(counts_mutex);
  ++kernels[kernel];
}

void count_launch(const char* name) {
  const std::lock_guard lock(counts_mutex);
  ++products[name];
}

std::map<std::string, std::int64_t> launch_counts() {
  const std::lock_guard lock(counts_mutex);
  std::map<std::string, std::int64_t> named = products;
  for (const auto& [kernel, count] : kernels) {
    const char* name = nullptr;
    check(cudaFuncGetName(&name, kernel));
    named[shortened(name)] += count;
  }
  return named;
}

void reset_launch_counts() {
  const std::lock_guard lock(counts_mutex);
  kernels.clear();
  products.clear();
}

}  // namespace folio::cuda
