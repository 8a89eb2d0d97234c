#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <source_location>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include "cuda/emulated/api.hpp"
#include "cuda/emulated/vectors.hpp"
#include "cuda/launches.hpp"

// The linker lists here where the nops of __launch_bounds__ begin (qualifiers.hpp), for this program or library.
extern "C" {
extern const std::uintptr_t __start___patchable_function_entries[] __attribute__((weak, visibility("hidden")));
extern const std::uintptr_t __stop___patchable_function_entries[] __attribute__((weak, visibility("hidden")));
}

namespace folio::cuda_emulated {

/// The number of blocks and, taken where it is written, the line that launches.
struct LaunchGrid {
  dim3 blocks;
  std::source_location where;
  LaunchGrid(dim3 b, std::source_location w = std::source_location::current()) : blocks(b), where(w) {}
  template <typename Count>
    requires std::is_integral_v<Count>
  LaunchGrid(Count count, std::source_location w = std::source_location::current())
      : blocks(static_cast<unsigned>(count)), where(w), wide(static_cast<std::int64_t>(count)) {}
  std::int64_t wide = 0;  ///< the count before it was narrowed, where it was one number
};

/// What a launch is, without its types.
struct LaunchRequest {
  std::uintptr_t kernel = 0;
  dim3 grid, block;
  std::size_t dynamic_bytes = 0;
  int thread_limit = 0;   ///< from __launch_bounds__; 0: none
  bool opted_in = false;  ///< cudaFuncSetAttribute allowed it more shared memory than 48 KiB
  cudaStream_t stream = nullptr;
  std::source_location where;
  std::shared_ptr<const void> arguments;
  std::size_t argument_bytes = 0;   ///< of `arguments`
  std::size_t parameter_bytes = 0;  ///< as the device lays them out
  void (*run_thread)(const void* arguments) = nullptr;
  void (*each_pointer)(const void* arguments, void (*visit)(int index, const void* pointer)) = nullptr;
};

/// Checks the request against the hardware's limits (Fault) and puts it on its stream. An empty grid does nothing.
void enqueue_launch(LaunchRequest request, std::int64_t wide_grid);

/// The limit that __launch_bounds__ gave the kernel, from the list [begin, end); 0 where it gave none.
int launch_bound(std::uintptr_t kernel, const std::uintptr_t* begin, const std::uintptr_t* end);

/// The bytes of a kernel's parameters, one behind the other and each aligned.
template <typename... P>
constexpr std::size_t bytes_of_parameters() {
  std::size_t bytes = 0;
  ((bytes = (bytes + alignof(P) - 1) / alignof(P) * alignof(P) + sizeof(P)), ...);
  return bytes;
}

template <typename... P>
struct BoundKernel {
  void (*kernel)(P...);
  std::tuple<std::remove_cv_t<P>...> arguments;

  static void run_thread(const void* self) {
    const auto& bound = *static_cast<const BoundKernel*>(self);
    std::apply(bound.kernel, bound.arguments);
  }
  static void each_pointer(const void* self, void (*visit)(int, const void*)) {
    int index = 0;
    auto one = [&](const auto& argument) {
      using Argument = std::decay_t<decltype(argument)>;
      if constexpr (std::is_pointer_v<Argument> && !std::is_function_v<std::remove_pointer_t<Argument>>) {
        visit(index, const_cast<const void*>(static_cast<const volatile void*>(argument)));
      }
      ++index;
    };
    std::apply([&](const auto&... all) { (one(all), ...); }, static_cast<const BoundKernel*>(self)->arguments);
  }
};

/// launch(kernel<T>, grid, block, shared_bytes, stream, arguments...): puts the kernel on the stream. The arguments
/// are converted to the kernel's parameters and copied now. Throws Fault where the hardware would refuse.
template <typename... P, typename... A>
void launch(void (*kernel)(P...), LaunchGrid grid, dim3 block, std::size_t shared_bytes, cudaStream_t stream,
            A&&... arguments) {
  static_assert(sizeof...(P) == sizeof...(A), "launch: as many arguments as the kernel has parameters");
  static_assert((std::is_trivially_copyable_v<std::remove_cv_t<P>> && ...), "kernel parameters are copied bytewise");
  using Bound = BoundKernel<P...>;
  auto bound = std::make_shared<const Bound>(Bound{kernel, {static_cast<P>(std::forward<A>(arguments))...}});
  LaunchRequest request;
  request.kernel = reinterpret_cast<std::uintptr_t>(kernel);
  request.grid = grid.blocks;
  request.block = block;
  request.dynamic_bytes = shared_bytes;
  request.thread_limit =
      launch_bound(request.kernel, __start___patchable_function_entries, __stop___patchable_function_entries);
  request.stream = stream;
  request.where = grid.where;
  request.arguments = std::move(bound);
  request.argument_bytes = sizeof(Bound);
  request.parameter_bytes = bytes_of_parameters<P...>();
  request.run_thread = &Bound::run_thread;
  request.each_pointer = &Bound::each_pointer;
  enqueue_launch(std::move(request), grid.wide);
}

/// Takes note of it for launch_counts().
void count_launch(const char* name);

}  // namespace folio::cuda_emulated
