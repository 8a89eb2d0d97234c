#include "cuda/emulated/status.hpp"

namespace folio::cuda_emulated {
namespace {

struct Status {
  cudaError_t last = cudaSuccess;
  std::string reason;
  std::exception_ptr fault;
};

Status& status() {
  static Status* const the = new Status;
  return *the;
}

struct ErrorText {
  cudaError_t error;
  const char *name, *text;
};
constexpr ErrorText texts[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInvalidMemcpyDirection, "cudaErrorInvalidMemcpyDirection", "invalid copy direction for memcpy"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
    {cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle", "invalid resource handle"},
    {cudaErrorNotReady, "cudaErrorNotReady", "device not ready"},
    {cudaErrorLaunchFailure, "cudaErrorLaunchFailure", "unspecified launch failure"},
};

}  // namespace

const char* cudaGetErrorName(cudaError_t error) {
  for (const auto& t : texts) {
    if (t.error == error) return t.name;
  }
  return "unrecognized error code";
}

const char* cudaGetErrorString(cudaError_t error) {
  for (const auto& t : texts) {
    if (t.error == error) return t.text;
  }
  return "unrecognized error code";
}

cudaError_t refuse(cudaError_t error, const std::string& reason) {
  status().last = error;
  status().reason = reason;
  return error;
}

cudaError_t remember_fault() {
  status().fault = std::current_exception();
  return status().last = cudaErrorLaunchFailure;
}

cudaError_t cudaPeekAtLastError() {
  const std::lock_guard lock(streams().mutex);
  return status().last;
}

cudaError_t cudaGetLastError() {
  const std::lock_guard lock(streams().mutex);
  const cudaError_t error = status().last;
  if (error != cudaErrorLaunchFailure) status().last = cudaSuccess;
  return error;
}

void check(cudaError_t error, std::source_location where) {
  if (error == cudaSuccess) return;
  const std::lock_guard lock(streams().mutex);
  const Status was = std::exchange(status(), {});
  if (was.fault) std::rethrow_exception(was.fault);
  const std::string reason = was.last == error && !was.reason.empty() ? was.reason : cudaGetErrorString(error);
  throw Error(std::string(where.file_name()) + ":" + std::to_string(where.line()) + ": " + cudaGetErrorName(error) +
              ": " + reason);
}

}  // namespace folio::cuda_emulated
