#include "cuda/emulated/atomics.hpp"

#include <algorithm>

#include "cuda/emulated/block.hpp"
#include "cuda/emulated/observer.hpp"
#include "cuda/emulated/symbols.hpp"

namespace folio::cuda_emulated {
namespace {

/// One read-modify-write. Threads of the emulator never interrupt one another inside it.
template <typename T, typename F>
__attribute__((always_inline)) inline T update(T* address, F&& f) {
  EmulatorAtWork at_work;
  const auto code = reinterpret_cast<std::uintptr_t>(__builtin_return_address(0));
  if (reinterpret_cast<std::uintptr_t>(address) % sizeof(T) != 0) {
    throw Fault(FaultKind::alignment, block().place() + ", " + source_line(code - 1) + ": an atomic of " +
                                          std::to_string(sizeof(T)) + " bytes at an address that is no multiple of it");
  }
  block().preempt();
  if (observer != nullptr) observer->atomic(address, sizeof(T), code);
  const T old = *address;
  *address = f(old);
  return old;
}

}  // namespace

void require_aligned(const void* address, std::size_t bytes) {
  const auto code = reinterpret_cast<std::uintptr_t>(__builtin_return_address(0));
  const std::string place = block().active() ? block().place() + ", " : "";
  throw Fault(FaultKind::alignment, place + source_line(code - 1) + ": a vector of " + std::to_string(bytes) +
                                        " bytes at an address that is " +
                                        std::to_string(reinterpret_cast<std::uintptr_t>(address) % bytes) +
                                        " past a multiple of that");
}

int atomicAdd(int* p, int v) {
  return update(p, [=](int o) { return static_cast<int>(static_cast<unsigned>(o) + static_cast<unsigned>(v)); });
}
unsigned atomicAdd(unsigned* p, unsigned v) {
  return update(p, [=](unsigned o) { return o + v; });
}
unsigned long long atomicAdd(unsigned long long* p, unsigned long long v) {
  return update(p, [=](auto o) { return o + v; });
}
float atomicAdd(float* p, float v) {
  return update(p, [=](float o) { return o + v; });
}
double atomicAdd(double* p, double v) {
  return update(p, [=](double o) { return o + v; });
}

int atomicSub(int* p, int v) {
  return update(p, [=](int o) { return static_cast<int>(static_cast<unsigned>(o) - static_cast<unsigned>(v)); });
}
unsigned atomicSub(unsigned* p, unsigned v) {
  return update(p, [=](unsigned o) { return o - v; });
}

int atomicMax(int* p, int v) {
  return update(p, [=](int o) { return std::max(o, v); });
}
unsigned atomicMax(unsigned* p, unsigned v) {
  return update(p, [=](unsigned o) { return std::max(o, v); });
}
long long atomicMax(long long* p, long long v) {
  return update(p, [=](long long o) { return std::max(o, v); });
}
unsigned long long atomicMax(unsigned long long* p, unsigned long long v) {
  return update(p, [=](auto o) { return std::max(o, v); });
}

int atomicMin(int* p, int v) {
  return update(p, [=](int o) { return std::min(o, v); });
}
unsigned atomicMin(unsigned* p, unsigned v) {
  return update(p, [=](unsigned o) { return std::min(o, v); });
}
long long atomicMin(long long* p, long long v) {
  return update(p, [=](long long o) { return std::min(o, v); });
}
unsigned long long atomicMin(unsigned long long* p, unsigned long long v) {
  return update(p, [=](auto o) { return std::min(o, v); });
}

int atomicExch(int* p, int v) {
  return update(p, [=](int) { return v; });
}
unsigned atomicExch(unsigned* p, unsigned v) {
  return update(p, [=](unsigned) { return v; });
}
unsigned long long atomicExch(unsigned long long* p, unsigned long long v) {
  return update(p, [=](auto) { return v; });
}
float atomicExch(float* p, float v) {
  return update(p, [=](float) { return v; });
}

int atomicCAS(int* p, int e, int v) {
  return update(p, [=](int o) { return o == e ? v : o; });
}
unsigned atomicCAS(unsigned* p, unsigned e, unsigned v) {
  return update(p, [=](unsigned o) { return o == e ? v : o; });
}
unsigned long long atomicCAS(unsigned long long* p, unsigned long long e, unsigned long long v) {
  return update(p, [=](auto o) { return o == e ? v : o; });
}

int atomicAnd(int* p, int v) {
  return update(p, [=](int o) { return o & v; });
}
unsigned atomicAnd(unsigned* p, unsigned v) {
  return update(p, [=](unsigned o) { return o & v; });
}
int atomicOr(int* p, int v) {
  return update(p, [=](int o) { return o | v; });
}
unsigned atomicOr(unsigned* p, unsigned v) {
  return update(p, [=](unsigned o) { return o | v; });
}
int atomicXor(int* p, int v) {
  return update(p, [=](int o) { return o ^ v; });
}
unsigned atomicXor(unsigned* p, unsigned v) {
  return update(p, [=](unsigned o) { return o ^ v; });
}

unsigned atomicInc(unsigned* p, unsigned limit) {
  return update(p, [=](unsigned o) { return o >= limit ? 0 : o + 1; });
}
unsigned atomicDec(unsigned* p, unsigned limit) {
  return update(p, [=](unsigned o) { return o == 0 || o > limit ? limit : o - 1; });
}

}  // namespace folio::cuda_emulated
