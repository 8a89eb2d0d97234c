#include "cuda/memory.hpp"

#include <bit>
#include <cstring>
#include <mutex>
#include <unordered_map>
#include <vector>

namespace folio::FOLIO_CUDA {
namespace {

// ── Device memory ────────────────────────────────────────────────────────────────────────────────────────────────────
class BlockCache {
 public:
  std::byte* take(std::size_t bytes) {
    const std::scoped_lock lock(mutex_);
    const std::size_t size = rounded(bytes);
    auto& blocks = free_[size];
    std::byte* block = nullptr;
    if (!blocks.empty()) {
      block = blocks.back();
      blocks.pop_back();
    } else {
      block = fresh(size);
      held_ += size;
    }
    memory_claimed(block, std::max<std::size_t>(bytes, 1), stream());
    return block;
  }
  void give(std::byte* block, std::size_t bytes) {
    const std::scoped_lock lock(mutex_);
    memory_released(block, std::max<std::size_t>(bytes, 1), stream());
    free_[rounded(bytes)].push_back(block);
  }

 private:
  /// Multiples of 512 bytes; above 8 KiB, eighths of a power of two, so that nearby sizes share blocks.
  static std::size_t rounded(std::size_t bytes) {
    const std::size_t step = bytes <= 8192 ? 512 : std::bit_floor(bytes) / 8;
    return std::max<std::size_t>(512, (bytes + step - 1) / step * step);
  }
  std::byte* fresh(std::size_t size) {
    void* block = nullptr;
    if (cudaMalloc(&block, size) == cudaSuccess) return static_cast<std::byte*>(block);
    cudaGetLastError();
    release_all();
    if (cudaMalloc(&block, size) == cudaSuccess) return static_cast<std::byte*>(block);
    cudaGetLastError();
    std::size_t free = 0, total = 0;
    check(cudaMemGetInfo(&free, &total));
    const auto mib = [](std::size_t bytes) { return std::to_string(bytes >> 20) + " MiB"; };
    throw Error("out of device memory: asked for " + mib(size) + ", tensors hold " + mib(held_) + ", free are " +
                mib(free) + " of " + mib(total) + ": a smaller batch needs less");
  }
  void release_all() {
    check(cudaStreamSynchronize(stream()));
    for (auto& [size, blocks] : free_) {
      for (std::byte* block : blocks) check(cudaFree(block));
      held_ -= size * blocks.size();
      blocks.clear();
    }
  }

  std::mutex mutex_;
  std::unordered_map<std::size_t, std::vector<std::byte*>> free_;
  std::size_t held_ = 0;
};

/// Never destroyed, here and below: tensors in statics may outlive every other static.
BlockCache& blocks() {
  static auto* const the = new BlockCache;
  return *the;
}

// ── Pinned memory ────────────────────────────────────────────────────────────────────────────────────────────────────
struct Pinned {
  std::byte* data = nullptr;
  std::size_t bytes = 0;
  cudaEvent_t done = nullptr;

  explicit Pinned(std::size_t size) : bytes(std::bit_ceil(std::max<std::size_t>(size, 4096))) {
    void* made = nullptr;
    check(cudaMallocHost(&made, bytes));
    data = static_cast<std::byte*>(made);
    check(cudaEventCreateWithFlags(&done, cudaEventDisableTiming));
  }
};

std::mutex host_mutex;

/// Pinned memory that no copy is using.
Pinned& staging(std::size_t bytes) {
  static auto* const pool = new std::vector<Pinned*>;
  for (Pinned* p : *pool) {
    if (p->bytes >= bytes && cudaEventQuery(p->done) == cudaSuccess) return *p;
    cudaGetLastError();
  }
  return *pool->emplace_back(new Pinned(bytes));
}

// ── Complaints ───────────────────────────────────────────────────────────────────────────────────────────────────────
constexpr unsigned long long no_complaint = ~0ULL;

const char* name_of(Finder finder) {
  switch (finder) {
    case Finder::embedding: return "embedding";
    case Finder::gather: return "gather";
    case Finder::index_add: return "index_add";
    case Finder::cross_entropy: return "cross_entropy";
    case Finder::route: return "route";
    case Finder::dispatch_rows: return "dispatch_rows";
    case Finder::combine_rows: return "combine_rows";
    case Finder::cast: return "cast";
  }
  return "a kernel";
}

unsigned long long* complaint_on_host() {
  static auto* const memory = new Pinned(sizeof(unsigned long long));
  return reinterpret_cast<unsigned long long*>(memory->data);
}

void throw_complaint() {
  const unsigned long long found = *complaint_on_host();
  if (found == no_complaint) return;
  check(cudaMemsetAsync(report(), 0xff, sizeof(found), stream()));
  const auto finder = static_cast<Finder>(found & 0xff);
  const std::string position = std::to_string(found >> 8);
  throw Error(name_of(finder) +
              (finder == Finder::cast
                   ? ": the value at position " + position + " is no index: it must be a number in the dtype's range"
                   : ": the index at position " + position + " points outside the tensor that it indexes") +
              "; found on the device, some ops later");
}

void wait_and_check() {
  check(cudaMemcpyAsync(complaint_on_host(), report(), sizeof(unsigned long long), cudaMemcpyDeviceToHost, stream()));
  check(cudaStreamSynchronize(stream()));
  throw_complaint();
}

// ── Small tensors on the host ────────────────────────────────────────────────────────────────────────────────────────
struct HostCopy {
  std::weak_ptr<Storage> of;
  std::int64_t offset = 0, count = 0;
  std::uint32_t version = 0;
  Pinned memory;

  explicit HostCopy(std::size_t bytes) : memory(bytes) {}
  bool is_of(const Tensor& x) const {
    return of.lock() == x.storage() && offset == x.offset() && count == x.numel() && version == x.storage()->version;
  }
};

std::vector<HostCopy*>& host_copies() {
  static auto* const the = new std::vector<HostCopy*>;
  return *the;
}

HostCopy& begin_copy(const Tensor& x) {
  const auto bytes = static_cast<std::size_t>(x.numel()) * sizeof(std::int32_t);
  HostCopy* copy = nullptr;
  for (HostCopy* c : host_copies()) {
    if (c->of.expired() && c->memory.bytes >= bytes && cudaEventQuery(c->memory.done) == cudaSuccess) copy = c;
    cudaGetLastError();
    if (copy != nullptr) break;
  }
  if (copy == nullptr) copy = host_copies().emplace_back(new HostCopy(bytes));
  copy->of = x.storage(), copy->offset = x.offset(), copy->count = x.numel(), copy->version = x.storage()->version;
  check(cudaMemcpyAsync(copy->memory.data, x.ptr<std::int32_t>(), bytes, cudaMemcpyDeviceToHost, stream()));
  check(cudaEventRecord(copy->memory.done, stream()));
  return *copy;
}

}  // namespace

cudaStream_t stream() {
  static const cudaStream_t the = [] {
    cudaStream_t made = nullptr;
    check(cudaStreamCreateWithFlags(&made, cudaStreamNonBlocking));
    return made;
  }();
  return the;
}

std::byte* allocate(std::size_t bytes) { return blocks().take(bytes); }
void deallocate(std::byte* data, std::size_t bytes) { blocks().give(data, bytes); }

void copy_from_host(std::byte* device, const std::byte* host, std::size_t bytes) {
  if (bytes == 0) return;
  const std::scoped_lock lock(host_mutex);
  Pinned& through = staging(bytes);
  std::memcpy(through.data, host, bytes);
  check(cudaMemcpyAsync(device, through.data, bytes, cudaMemcpyHostToDevice, stream()));
  check(cudaEventRecord(through.done, stream()));
}

void copy_to_host(std::byte* host, const std::byte* device, std::size_t bytes) {
  const std::scoped_lock lock(host_mutex);
  if (bytes > 0) check(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, stream()));
  wait_and_check();
}

Report report() {
  static const Report word = [] {
    void* made = nullptr;
    check(cudaMalloc(&made, sizeof(unsigned long long)));
    check(cudaMemsetAsync(made, 0xff, sizeof(unsigned long long), stream()));
    return static_cast<Report>(made);
  }();
  return word;
}

void begin_copy_to_host(const Tensor& x) {
  const std::scoped_lock lock(host_mutex);
  begin_copy(x);
}

std::span<const std::int32_t> on_host(const Tensor& x) {
  const std::scoped_lock lock(host_mutex);
  HostCopy* copy = nullptr;
  for (HostCopy* c : host_copies()) {
    if (c->is_of(x)) copy = c;
  }
  if (copy == nullptr) copy = &begin_copy(x);
  check(cudaEventSynchronize(copy->memory.done));
  return {reinterpret_cast<const std::int32_t*>(copy->memory.data), static_cast<std::size_t>(copy->count)};
}

}  // namespace folio::FOLIO_CUDA
