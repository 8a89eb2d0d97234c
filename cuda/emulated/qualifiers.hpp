#pragma once
// CUDA's own words, for a C++ compiler. `__shared__` and `__constant__` stay undefined: kernels use SHARED.

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))

/// Kept where launch() can read it: as many one-byte nops before the function's entry as threads are allowed, with
/// the place listed in the section __patchable_function_entries. They are never run.
#if defined(__x86_64__)
#define __launch_bounds__(threads, ...) __attribute__((patchable_function_entry((threads), (threads))))
#else
#define __launch_bounds__(threads, ...)
#endif
