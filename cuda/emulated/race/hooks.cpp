#include <cstddef>
#include <cstdint>

#include "cuda/emulated/race/watcher.hpp"

// What g++ -fsanitize=thread calls from the kernels. The program is linked without ThreadSanitizer: its own runtime
// would take the emulator's switches for races, and knows nothing of blocks.
namespace {

using folio::cuda_emulated::race::Kind;
using folio::cuda_emulated::race::watch;

#define CODE reinterpret_cast<std::uintptr_t>(__builtin_return_address(0))

}  // namespace

extern "C" {

void __tsan_init() { folio::cuda_emulated::race::install(); }
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}

void __tsan_read_range(void* address, std::size_t bytes) { watch(address, bytes, Kind::read, CODE); }
void __tsan_write_range(void* address, std::size_t bytes) { watch(address, bytes, Kind::write, CODE); }

#define HOOKS(bytes)                                                                                     \
  void __tsan_read##bytes(void* address) { watch(address, bytes, Kind::read, CODE); }                    \
  void __tsan_write##bytes(void* address) { watch(address, bytes, Kind::write, CODE); }                  \
  void __tsan_unaligned_read##bytes(void* address) { watch(address, bytes, Kind::read, CODE); }          \
  void __tsan_unaligned_write##bytes(void* address) { watch(address, bytes, Kind::write, CODE); }        \
  void __tsan_volatile_read##bytes(void* address) { watch(address, bytes, Kind::read, CODE); }           \
  void __tsan_volatile_write##bytes(void* address) { watch(address, bytes, Kind::write, CODE); }         \
  void __tsan_unaligned_volatile_read##bytes(void* address) { watch(address, bytes, Kind::read, CODE); } \
  void __tsan_unaligned_volatile_write##bytes(void* address) { watch(address, bytes, Kind::write, CODE); }
HOOKS(1)
HOOKS(2)
HOOKS(4)
HOOKS(8)
HOOKS(16)

// The atomics of host code in the same files (reference counts, guards of statics): done, not watched.
#define ATOMICS(bits)                                                                                                 \
  using a##bits = std::uint##bits##_t;                                                                                \
  a##bits __tsan_atomic##bits##_load(const volatile a##bits* p, int) { return __atomic_load_n(p, __ATOMIC_SEQ_CST); } \
  void __tsan_atomic##bits##_store(volatile a##bits* p, a##bits v, int) { __atomic_store_n(p, v, __ATOMIC_SEQ_CST); } \
  a##bits __tsan_atomic##bits##_exchange(volatile a##bits* p, a##bits v, int) {                                       \
    return __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST);                                                               \
  }                                                                                                                   \
  a##bits __tsan_atomic##bits##_fetch_add(volatile a##bits* p, a##bits v, int) {                                      \
    return __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST);                                                                \
  }                                                                                                                   \
  a##bits __tsan_atomic##bits##_fetch_sub(volatile a##bits* p, a##bits v, int) {                                      \
    return __atomic_fetch_sub(p, v, __ATOMIC_SEQ_CST);                                                                \
  }                                                                                                                   \
  a##bits __tsan_atomic##bits##_fetch_and(volatile a##bits* p, a##bits v, int) {                                      \
    return __atomic_fetch_and(p, v, __ATOMIC_SEQ_CST);                                                                \
  }                                                                                                                   \
  a##bits __tsan_atomic##bits##_fetch_or(volatile a##bits* p, a##bits v, int) {                                       \
    return __atomic_fetch_or(p, v, __ATOMIC_SEQ_CST);                                                                 \
  }                                                                                                                   \
  a##bits __tsan_atomic##bits##_fetch_xor(volatile a##bits* p, a##bits v, int) {                                      \
    return __atomic_fetch_xor(p, v, __ATOMIC_SEQ_CST);                                                                \
  }                                                                                                                   \
  bool __tsan_atomic##bits##_compare_exchange_strong(volatile a##bits* p, a##bits* e, a##bits v, int, int) {          \
    return __atomic_compare_exchange_n(p, e, v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);                           \
  }                                                                                                                   \
  bool __tsan_atomic##bits##_compare_exchange_weak(volatile a##bits* p, a##bits* e, a##bits v, int, int) {            \
    return __atomic_compare_exchange_n(p, e, v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);                           \
  }
ATOMICS(8)
ATOMICS(16)
ATOMICS(32)
ATOMICS(64)
void __tsan_atomic_thread_fence(int) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
void __tsan_atomic_signal_fence(int) {}
}
