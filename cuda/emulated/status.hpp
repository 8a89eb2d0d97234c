#pragma once
#include <exception>
#include <string>
#include <utility>

#include "autograd/error.hpp"
#include "cuda/emulated/api.hpp"
#include "cuda/emulated/streams.hpp"

namespace folio::cuda_emulated {

/// Remembers why a call failed, for check() and cudaGetLastError().
cudaError_t refuse(cudaError_t error, const std::string& reason);
/// The exception that is being handled: a kernel's fault. Every later call returns cudaErrorLaunchFailure until
/// check() has thrown it.
cudaError_t remember_fault();

/// Runs one call of the runtime: under the mutex, with a kernel's fault turned into an error code.
template <typename F>
cudaError_t call(F&& f) {
  const std::lock_guard lock(streams().mutex);
  if (const cudaError_t error = cudaPeekAtLastError(); error == cudaErrorLaunchFailure) return error;
  try {
    return f();
  } catch (...) {
    return remember_fault();
  }
}

/// The same for a call that names a stream.
template <typename F>
cudaError_t call_on(cudaStream_t handle, F&& f) {
  return call([&] {
    const auto stream = streams().find(handle);
    if (stream == nullptr) return refuse(cudaErrorInvalidResourceHandle, "no such stream; was it destroyed?");
    return f(stream);
  });
}

/// The same for a call that names an event.
template <typename F>
cudaError_t call_with(cudaEvent_t handle, F&& f) {
  return call([&] {
    Event* const event = streams().find(handle);
    if (event == nullptr) return refuse(cudaErrorInvalidResourceHandle, "no such event; was it destroyed?");
    return f(*event);
  });
}

}  // namespace folio::cuda_emulated
