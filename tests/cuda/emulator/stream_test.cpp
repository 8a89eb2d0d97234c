#include <algorithm>
#include <cmath>
#include <map>

#include "tests/cuda/emulator/device_array.hpp"
#include "tests/cuda/emulator/draw.hpp"
#include "tests/cuda/emulator/probes.hpp"

// Streams and events: what is ordered stays ordered, what is not ordered shows.
namespace folio::cuda_emulated {
namespace {

using testing::DeviceArray;
using testing::draw_between;
using testing::draw_order;

class StreamHandle {
 public:
  explicit StreamHandle(unsigned flags = cudaStreamDefault) { check(cudaStreamCreateWithFlags(&stream_, flags)); }
  ~StreamHandle() { cudaStreamDestroy(stream_); }
  StreamHandle(const StreamHandle&) = delete;
  StreamHandle& operator=(const StreamHandle&) = delete;
  operator cudaStream_t() const { return stream_; }  // NOLINT: a handle, as the runtime takes it

 private:
  cudaStream_t stream_ = nullptr;
};

class EventHandle {
 public:
  EventHandle() { check(cudaEventCreate(&event_)); }
  ~EventHandle() { cudaEventDestroy(event_); }
  EventHandle(const EventHandle&) = delete;
  EventHandle& operator=(const EventHandle&) = delete;
  operator cudaEvent_t() const { return event_; }  // NOLINT: a handle, as the runtime takes it

 private:
  cudaEvent_t event_ = nullptr;
};

/// In how many of `draws` seeds `f` is true.
template <typename F>
int times(Order order, int draws, F&& f) {
  int count = 0;
  for (int seed = 0; seed < draws; ++seed) {
    set_order(order, seed);
    count += f();
  }
  set_order(Order::in_order);
  return count;
}

TEST(Streams, NothingRunsBeforeItIsWaitedFor) {
  const StreamHandle stream;
  static int calls = 0;
  calls = 0;
  check(cudaLaunchHostFunc(
      stream, [](void*) { ++calls; }, nullptr));
  EXPECT_EQ(calls, 0);
  EXPECT_EQ(cudaStreamQuery(stream), cudaSuccess) << "polling gets there: in order, at once";
  EXPECT_EQ(calls, 1);
}

TEST(Streams, CountTheCallsThatWait) {
  const StreamHandle stream;
  const EventHandle event;
  const DeviceArray<float> x(4);
  check(cudaDeviceSynchronize());
  reset_host_waits();
  for (int i = 0; i < 2; ++i) {  // the second time there is nothing left to wait for
    if (i == 0) probes::fill(x.data(), 1, 4, stream);
    if (i == 0) check(cudaEventRecord(event, stream));
    check(cudaEventSynchronize(event));
    check(cudaStreamSynchronize(stream));
    check(cudaDeviceSynchronize());
  }
  EXPECT_EQ(host_waits(), (std::map<std::string, std::int64_t>{{"cudaEventSynchronize", 1}}));
  reset_host_waits();
  float pageable[4];
  check(cudaMemcpyAsync(pageable, x.data(), sizeof pageable, cudaMemcpyDeviceToHost, stream));
  check(cudaStreamSynchronize(stream));
  EXPECT_EQ(host_waits(), (std::map<std::string, std::int64_t>{{"cudaMemcpyAsync of memory that is not pinned", 1},
                                                               {"cudaStreamSynchronize", 1}}));
}

TEST(Streams, OneStreamKeepsItsOrder) {
  for (const Order order : all_orders) {
    EXPECT_EQ(times(order, 10,
                    [] {
                      const StreamHandle stream;
                      const DeviceArray<float> a(8), b(8);
                      probes::fill(a.data(), 1, 8, stream);
                      probes::add_one(a.data(), 8, stream);
                      probes::copy(a.data(), b.data(), 8, stream);
                      probes::fill(a.data(), 9, 8, stream);
                      check(cudaStreamSynchronize(stream));
                      return b.host()[7] == 2.0f && a.host()[0] == 9.0f;
                    }),
              10);
  }
}

bool producer_and_consumer(bool with_event) {
  const StreamHandle one(cudaStreamNonBlocking), two(cudaStreamNonBlocking);
  const EventHandle done;
  const DeviceArray<float> a(8), b(8);
  probes::fill(a.data(), 1, 8, one);
  if (with_event) {
    check(cudaEventRecord(done, one));
    check(cudaStreamWaitEvent(two, done));
  }
  probes::copy(a.data(), b.data(), 8, two);
  check(cudaStreamSynchronize(two));
  const bool right = b.host()[3] == 1.0f;
  check(cudaDeviceSynchronize());
  return right;
}

TEST(Streams, MissingEventShows) {
  EXPECT_EQ(times(Order::in_order, 1, [] { return producer_and_consumer(false); }), 0) << "done only what is needed";
  EXPECT_EQ(times(Order::reverse, 1, [] { return producer_and_consumer(false); }), 0);
  const int lucky = times(Order::uniform, 40, [] { return producer_and_consumer(false); });
  EXPECT_GT(lucky, 5);
  EXPECT_LT(lucky, 35);
  for (const Order order : all_orders) {
    EXPECT_EQ(times(order, 20, [] { return producer_and_consumer(true); }), 20) << name_of(order);
  }
}

TEST(Streams, TheDefaultStreamWaitsForBlockingStreamsAndTheyForIt) {
  for (const Order order : all_orders) {
    EXPECT_EQ(times(order, 20,
                    [] {
                      const StreamHandle one, two;
                      const DeviceArray<float> a(8), b(8), c(8);
                      probes::fill(a.data(), 1, 8, one);
                      probes::copy(a.data(), b.data(), 8, nullptr);
                      probes::copy(b.data(), c.data(), 8, two);
                      check(cudaStreamSynchronize(two));
                      return c.host()[0] == 1.0f;
                    }),
              20);
  }
}

TEST(Streams, SourceChangedBeforeAnAsynchronousCopyRan) {
  const StreamHandle stream;
  const DeviceArray<float> a(1);
  float* host = nullptr;
  check(cudaMallocHost(&host, sizeof(float)));
  host[0] = 1;
  check(cudaMemcpyAsync(a.data(), host, sizeof(float), cudaMemcpyHostToDevice, stream));
  host[0] = 2;  // too soon
  check(cudaStreamSynchronize(stream));
  EXPECT_EQ(a.host()[0], 2.0f) << "the copy took what stood there when it ran";
  check(cudaFreeHost(host));
}

TEST(Streams, ACopyBackAndForthThroughOneBufferNeedsNoWait) {
  const StreamHandle stream;
  const DeviceArray<float> a(std::vector<float>{1, 2}), b(2);
  std::vector<float> host(2);
  check(cudaMemcpyAsync(host.data(), a.data(), 8, cudaMemcpyDeviceToHost, stream));
  check(cudaMemcpyAsync(b.data(), host.data(), 8, cudaMemcpyHostToDevice, stream));
  probes::add_one(a.data(), 2, stream);
  check(cudaMemcpyAsync(host.data(), a.data(), 8, cudaMemcpyDeviceToHost, stream));
  check(cudaStreamSynchronize(stream));
  EXPECT_EQ(b.host(), (std::vector<float>{1, 2}));
  EXPECT_EQ(host, (std::vector<float>{2, 3}));
}

TEST(Streams, EventsTellTime) {
  const StreamHandle stream;
  const EventHandle from, to, never;
  const DeviceArray<float> a(256);
  check(cudaEventRecord(from, stream));
  for (int i = 0; i < 20; ++i) probes::add_one(a.data(), 256, stream);
  check(cudaEventRecord(to, stream));
  float milliseconds = -1;
  EXPECT_EQ(cudaEventElapsedTime(&milliseconds, from, to), cudaErrorNotReady);
  check(cudaEventSynchronize(to));
  check(cudaEventElapsedTime(&milliseconds, from, to));
  EXPECT_GT(milliseconds, 0);
  EXPECT_EQ(cudaEventElapsedTime(&milliseconds, from, never), cudaErrorInvalidResourceHandle);
  EXPECT_EQ(cudaEventQuery(never), cudaSuccess);
  cudaGetLastError();
}

TEST(Streams, PollingComesToAnEnd) {
  for (const Order order : all_orders) {
    set_order(order, 4);
    const StreamHandle stream, other;
    const DeviceArray<float> a(8);
    for (int i = 0; i < 30; ++i) probes::add_one(a.data(), 8, i % 2 == 0 ? stream : other);
    int polls = 0;
    while (cudaStreamQuery(stream) == cudaErrorNotReady) ASSERT_LT(++polls, 1000);
  }
  set_order(Order::in_order);
}

TEST(Streams, ALongQueueDrainsByItself) {
  const StreamHandle stream;
  static int calls = 0;
  calls = 0;
  for (int i = 0; i < 5000; ++i)
    check(cudaLaunchHostFunc(
        stream, [](void*) { ++calls; }, nullptr));
  EXPECT_GT(calls, 3000);
  EXPECT_LT(calls, 5000);
  check(cudaDeviceSynchronize());
  EXPECT_EQ(calls, 5000);
}

TEST(Streams, UnknownHandlesAreRefused) {
  cudaStream_t stream = nullptr;
  check(cudaStreamCreate(&stream));
  check(cudaStreamDestroy(stream));
  EXPECT_EQ(cudaStreamSynchronize(stream), cudaErrorInvalidResourceHandle);
  EXPECT_EQ(cudaStreamDestroy(nullptr), cudaErrorInvalidResourceHandle);
  EXPECT_THROW(check(cudaGetLastError()), Error);
}

TEST(Streams, EventsThatAreGoneOrNoneAreRefused) {
  cudaEvent_t gone = nullptr;
  check(cudaEventCreate(&gone));
  check(cudaEventDestroy(gone));
  const EventHandle there;
  check(cudaEventRecord(there));
  check(cudaEventSynchronize(there));
  float milliseconds = 0;
  for (const cudaEvent_t event : {gone, cudaEvent_t{}}) {
    const cudaError_t errors[] = {cudaEventDestroy(event),
                                  cudaEventRecord(event),
                                  cudaEventSynchronize(event),
                                  cudaEventQuery(event),
                                  cudaStreamWaitEvent(nullptr, event),
                                  cudaEventElapsedTime(&milliseconds, event, there),
                                  cudaEventElapsedTime(&milliseconds, there, event)};
    for (const cudaError_t error : errors) EXPECT_EQ(error, cudaErrorInvalidResourceHandle);
  }
  try {
    check(cudaEventQuery(gone));
    ADD_FAILURE() << "no error";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("no such event; was it destroyed?"), std::string::npos) << e.what();
  }
}

TEST(Streams, AnEventMayBeDestroyedBeforeItsWorkIsDone) {
  const StreamHandle one(cudaStreamNonBlocking), two(cudaStreamNonBlocking);
  const DeviceArray<float> a(8), b(8);
  probes::fill(a.data(), 1, 8, one);
  {
    const EventHandle done;
    check(cudaEventRecord(done, one));
    check(cudaStreamWaitEvent(two, done));
  }
  probes::copy(a.data(), b.data(), 8, two);
  check(cudaStreamSynchronize(two));
  EXPECT_EQ(b.host()[7], 1.0f);
}

/// A random graph of copies over streams, each ordered by events after all that it depends on, gives what the same
/// copies in program order give.
FOLIO_PROPERTY(Streams, AGraphWithItsEventsIsOrdered) {
  draw_order(shares, seed);
  const int nodes = draw_between(1, 25), lanes = draw_between(1, 4), cells = draw_between(2, 6);
  shares.note("of several streams", lanes > 1, 60);
  shares.note("with memory that is used again", nodes > cells, 50);
  std::vector<std::unique_ptr<StreamHandle>> streams;
  streams.reserve(lanes);
  for (int i = 0; i < lanes; ++i) streams.push_back(std::make_unique<StreamHandle>(cudaStreamNonBlocking));
  std::vector<std::unique_ptr<DeviceArray<float>>> memory;
  std::vector<float> expected(cells);
  for (int i = 0; i < cells; ++i) {
    expected[i] = static_cast<float>(i);
    memory.push_back(std::make_unique<DeviceArray<float>>(std::vector<float>{expected[i]}));
  }
  std::map<int, std::vector<std::unique_ptr<EventHandle>>> touched;  // per cell: the events of all who used it
  for (int i = 0; i < nodes; ++i) {
    const int lane = draw_between(0, lanes - 1), from = draw_between(0, cells - 1), to = draw_between(0, cells - 1);
    const StreamHandle& stream = *streams[lane];
    for (const int cell : {from, to}) {
      for (const auto& event : touched[cell]) check(cudaStreamWaitEvent(stream, *event));
    }
    probes::copy(memory[from]->data(), memory[to]->data(), 1, stream);
    probes::add_one(memory[to]->data(), 1, stream);
    expected[to] = expected[from] + 1;
    for (const int cell : {from, to}) {
      touched[cell].push_back(std::make_unique<EventHandle>());
      check(cudaEventRecord(*touched[cell].back(), stream));
    }
  }
  check(cudaDeviceSynchronize());
  for (int i = 0; i < cells; ++i) RC_ASSERT(memory[i]->host()[0] == expected[i]);
}

}  // namespace
}  // namespace folio::cuda_emulated
