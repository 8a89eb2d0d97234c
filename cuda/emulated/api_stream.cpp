#include <chrono>
#include <utility>

#include "cuda/emulated/status.hpp"

// Streams and events.
namespace folio::cuda_emulated {
namespace {

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

cudaError_t query(const Point& point) {
  streams().pass_time(point);
  return point.reached() ? cudaSuccess : cudaErrorNotReady;
}

}  // namespace

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  return call([&] {
    *stream = streams().create((flags & cudaStreamNonBlocking) == 0);
    return cudaSuccess;
  });
}

cudaError_t cudaStreamCreate(cudaStream_t* stream) { return cudaStreamCreateWithFlags(stream, cudaStreamDefault); }

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  if (stream == nullptr) return refuse(cudaErrorInvalidResourceHandle, "the default stream cannot be destroyed");
  return call_on(stream, [&](const auto& s) {
    streams().destroy(s);
    return cudaSuccess;
  });
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  return call_on(stream, [&](const auto& s) {
    streams().wait("cudaStreamSynchronize", streams().end_of(s));
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceSynchronize() {
  return call([&] {
    streams().wait_for_all("cudaDeviceSynchronize");
    return cudaSuccess;
  });
}

cudaError_t cudaStreamQuery(cudaStream_t stream) {
  return call_on(stream, [&](const auto& s) { return query(streams().end_of(s)); });
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  return call_with(event, [&](const Event& e) {
    return call_on(stream, [&](const auto& s) {
      if (!e.point.reached()) streams().put(s, {.run = [] {}, .after = {e.point}});
      return cudaSuccess;
    });
  });
}

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, void (*function)(void*), void* argument) {
  return call_on(stream, [&](const auto& s) {
    streams().put(s, {.run = [=] { function(argument); }});
    return cudaSuccess;
  });
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  return call([&] {
    *event = streams().create_event();
    return cudaSuccess;
  });
}

cudaError_t cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, cudaEventDefault); }

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  return call_with(event, [&](const Event&) {
    streams().destroy(event);
    return cudaSuccess;
  });
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  return call_with(event, [&](Event& e) {
    return call_on(stream, [&](const auto& s) {
      auto seconds = std::make_shared<double>(0);
      streams().put(s, {.run = [seconds] { *seconds = now(); }});
      e.point = streams().end_of(s);
      e.seconds = std::move(seconds);
      return cudaSuccess;
    });
  });
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  return call_with(event, [](const Event& e) {
    streams().wait("cudaEventSynchronize", e.point);
    return cudaSuccess;
  });
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  return call_with(event, [](const Event& e) { return query(e.point); });
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t from, cudaEvent_t to) {
  return call_with(from, [&](const Event& begin) {
    return call_with(to, [&](const Event& end) {
      if (begin.seconds == nullptr || end.seconds == nullptr) {
        return refuse(cudaErrorInvalidResourceHandle, "cudaEventElapsedTime of an event that was never recorded");
      }
      if (!begin.point.reached() || !end.point.reached()) return cudaErrorNotReady;
      *milliseconds = static_cast<float>(1e3 * (*end.seconds - *begin.seconds));
      return cudaSuccess;
    });
  });
}

}  // namespace folio::cuda_emulated
