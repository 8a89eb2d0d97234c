#include <cstring>

#include "cuda/emulated/device_memory.hpp"
#include "cuda/emulated/shared_memory.hpp"
#include "cuda/emulated/status.hpp"

// cudaMalloc and its like, copies and fills, and what the device says of itself.
namespace folio::cuda_emulated {
namespace {

bool on_device(const void* address) {
  const Home home = home_of(address, 0);
  return home == Home::device || home == Home::device_outside;
}

void require_inside(const void* address, std::size_t bytes, const char* call) {
  const Home home = home_of(address, bytes);
  if (home != Home::device && home != Home::pinned) {
    throw Fault(FaultKind::memory, std::string(call) + " of " + std::to_string(bytes) + " bytes at " +
                                       describe_address(address) + ": outside what is allocated there");
  }
}

const char* name_of(bool device) { return device ? "device" : "host"; }

cudaError_t put_copy(const std::shared_ptr<Stream>& stream, void* to, const void* from, std::size_t bytes,
                     cudaMemcpyKind kind) {
  if (bytes == 0) return cudaSuccess;
  const bool to_device = on_device(to), from_device = on_device(from);
  if (kind != cudaMemcpyDefault) {
    const bool want_to = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
    const bool want_from = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
    if (want_to != to_device || want_from != from_device) {
      return refuse(cudaErrorInvalidValue, std::string("cudaMemcpy says ") + name_of(want_from) + " to " +
                                               name_of(want_to) + ", the addresses are " + name_of(from_device) +
                                               " and " + name_of(to_device));
    }
  }
  Task task;
  task.run = [=] {
    if (to_device) require_inside(to, bytes, "copy to the device");
    if (from_device) require_inside(from, bytes, "copy from the device");
    std::memmove(to, from, bytes);
  };
  if (!from_device) task.host_source = {static_cast<const std::byte*>(from), bytes};
  if (!to_device) task.host_target = {static_cast<std::byte*>(to), bytes};
  streams().put(stream, std::move(task));
  return cudaSuccess;
}

cudaError_t put_fill(const std::shared_ptr<Stream>& stream, void* address, int value, std::size_t bytes) {
  if (bytes == 0) return cudaSuccess;
  if (!on_device(address)) return refuse(cudaErrorInvalidValue, "cudaMemset of an address that is not device memory");
  streams().put(stream, {.run = [=] {
                  require_inside(address, bytes, "cudaMemset");
                  std::memset(address, value, bytes);
                }});
  return cudaSuccess;
}

}  // namespace

cudaError_t cudaMalloc(void** address, std::size_t bytes) {
  return call([&] {
    *address = bytes == 0 ? nullptr : allocate_device(bytes);
    if (*address != nullptr || bytes == 0) return cudaSuccess;
    const MemoryStatistics s = memory_statistics();
    return refuse(cudaErrorMemoryAllocation, "out of memory: asked for " + std::to_string(bytes) + " bytes, held " +
                                                 std::to_string(s.bytes) + " of " + std::to_string(s.capacity_bytes));
  });
}

cudaError_t cudaFree(void* address) {
  return call([&] {
    if (address == nullptr) return cudaSuccess;
    streams().wait_for_all("cudaFree");
    return free_device(address)
               ? cudaSuccess
               : refuse(cudaErrorInvalidValue, "cudaFree of an address that cudaMalloc never gave, or freed already");
  });
}

cudaError_t cudaMallocHost(void** address, std::size_t bytes) {
  return call([&] {
    *address = bytes == 0 ? nullptr : allocate_pinned(bytes);
    return *address != nullptr || bytes == 0 ? cudaSuccess
                                             : refuse(cudaErrorMemoryAllocation, "out of pinned host memory");
  });
}

cudaError_t cudaHostAlloc(void** address, std::size_t bytes, unsigned) { return cudaMallocHost(address, bytes); }

cudaError_t cudaFreeHost(void* address) {
  return call([&] {
    if (address == nullptr) return cudaSuccess;
    streams().wait_for_all("cudaFreeHost");
    return free_pinned(address) ? cudaSuccess
                                : refuse(cudaErrorInvalidValue, "cudaFreeHost of an address that is not pinned memory");
  });
}

cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  return call([&] {
    const MemoryStatistics s = memory_statistics();
    *total = s.capacity_bytes;
    *free = s.capacity_bytes - std::min(s.bytes, s.capacity_bytes);
    return cudaSuccess;
  });
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  return call_on(stream, [&](const auto& s) {
    if (bytes > 0 && (home_of(to, 0) == Home::host || home_of(from, 0) == Home::host)) {
      count_host_wait("cudaMemcpyAsync of memory that is not pinned");
    }
    return put_copy(s, to, from, bytes, kind);
  });
}

cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  return call_on(nullptr, [&](const auto& s) {
    const cudaError_t error = put_copy(s, to, from, bytes, kind);
    if (error == cudaSuccess) streams().wait("cudaMemcpy", streams().end_of(s));
    return error;
  });
}

cudaError_t cudaMemsetAsync(void* address, int value, std::size_t bytes, cudaStream_t stream) {
  return call_on(stream, [&](const auto& s) { return put_fill(s, address, value, bytes); });
}

cudaError_t cudaMemset(void* address, int value, std::size_t bytes) {
  return cudaMemsetAsync(address, value, bytes, nullptr);
}

void memory_claimed(void* address, std::size_t bytes, cudaStream_t stream) {
  check(call_on(stream, [&](const auto& s) {
    streams().put(s, {.run = [=] { claim(address, bytes); }});
    return cudaSuccess;
  }));
}

void memory_released(void* address, std::size_t bytes, cudaStream_t stream) {
  call_on(stream, [&](const auto& s) {  // what fails here stays for the next call: destructors release
    streams().put(s, {.run = [=] {
                    const auto stray = take_stray_write(address);
                    const std::string place = stray ? describe_address(address) : "";
                    release(address, bytes);
                    if (!stray) return;
                    throw Fault(FaultKind::memory, "something wrote outside a block of " + std::to_string(bytes) +
                                                       " bytes before it was given back: at offset " +
                                                       std::to_string(*stray) + ", the block at " + place);
                  }});
    return cudaSuccess;
  });
}

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}

cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
  return device == 0 ? cudaSuccess : refuse(cudaErrorInvalidDevice, "the emulator has one device, number 0");
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  if (device != 0) return refuse(cudaErrorInvalidDevice, "the emulator has one device, number 0");
  *properties = {.name = "Folio emulated device",
                 .totalGlobalMem = memory_statistics().capacity_bytes,
                 .sharedMemPerBlock = shared_limit,
                 .sharedMemPerBlockOptin = shared_opt_in_limit,
                 .sharedMemPerMultiprocessor = shared_opt_in_limit + 1024,
                 .major = 8,
                 .minor = 0,
                 .multiProcessorCount = 4,
                 .warpSize = 32,
                 .maxThreadsPerBlock = 1024,
                 .maxThreadsPerMultiProcessor = 2048,
                 .maxGridSize = {2147483647, 65535, 65535},
                 .maxThreadsDim = {1024, 1024, 64}};
  return cudaSuccess;
}

}  // namespace folio::cuda_emulated
